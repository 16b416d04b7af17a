#!/usr/bin/env bash
# The audit of action.yml: makes the command's arguments of the action's inputs, runs it, writes the job's summary, and
# keeps the exit code for the last step, so that reports are uploaded whatever was found.
set -euo pipefail

arguments=(scan --auth cli --output "$INPUT_OUTPUT" --format console,html,json,sarif,markdown
  --fail-on "$INPUT_FAIL_ON" --in-cluster "$INPUT_IN_CLUSTER" --log-format json)

each() { # each OPTION VALUES: the option for each of the values, which spaces and lines separate
  local value
  while IFS= read -r value; do
    [ -z "$value" ] || arguments+=("$1" "$value")
  done < <(tr -s '[:space:]' '\n' <<<"$2")
}
each --subscription "$INPUT_SUBSCRIPTIONS"
each --cluster "$INPUT_CLUSTERS"
each --checklist "$INPUT_CHECKLISTS"
each --rules "$INPUT_RULES"
[ -z "$INPUT_CONFIG" ] || arguments+=(--config "$INPUT_CONFIG")

baseline="$INPUT_OUTPUT/baseline/aks-audit.json"
if [ "$INPUT_KEEP_BASELINE" = true ] && [ -f "$baseline" ]; then
  arguments+=(--baseline "$baseline")
elif [[ $INPUT_FAIL_ON == new:* ]]; then
  echo "::notice::no earlier report on this branch: everything counts as new"
  arguments+=(--fail-on "${INPUT_FAIL_ON#new:}")
fi

code=0
"$AKS_AUDIT" "${arguments[@]}" || code=$?
echo "exit-code=$code" >>"$GITHUB_OUTPUT"

result=$code
if [ "$code" = 0 ] || [ "$code" = 1 ] || [ "$code" = 3 ]; then
  echo "report=$INPUT_OUTPUT/aks-audit.json" >>"$GITHUB_OUTPUT"
  cat "$INPUT_OUTPUT/aks-audit.md" >>"$GITHUB_STEP_SUMMARY"
  if [ "$INPUT_KEEP_BASELINE" = true ]; then
    mkdir -p "$INPUT_OUTPUT/baseline"
    cp "$INPUT_OUTPUT/aks-audit.json" "$baseline"
  fi
fi
if [ "$code" = 3 ] && [ "$INPUT_INCOMPLETE" = warn ]; then
  echo "::warning::not everything in scope could be read; the report says what, and which permission would mend it"
  result=0
fi
echo "result=$result" >>"$GITHUB_OUTPUT"
