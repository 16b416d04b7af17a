{{- define "aks-audit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* 46 characters leave room for "-merge" in the 52 that Kubernetes allows the name of a CronJob. */}}
{{- define "aks-audit.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $whole .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end }}

{{- define "aks-audit.serviceAccount" -}}
{{- default (ternary (include "aks-audit.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end }}

{{- define "aks-audit.selector" -}}
app.kubernetes.io/name: {{ include "aks-audit.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aks-audit.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "aks-audit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "aks-audit.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "image.repository: push the image that deploy/Dockerfile makes to your registry, and name it here" $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}

{{- define "aks-audit.claim" -}}
{{- if .Values.store.volume.create -}}
{{- include "aks-audit.fullname" . -}}
{{- else -}}
{{- .Values.store.volume.existingClaim -}}
{{- end -}}
{{- end }}

{{- define "aks-audit.store" -}}
{{- $claim := include "aks-audit.claim" . -}}
{{- if and .Values.store.url $claim -}}
{{- fail "store.url and store.volume: runs are kept in one place; leave one of them out" -}}
{{- else if .Values.store.url -}}
{{- .Values.store.url -}}
{{- else if $claim -}}
/store
{{- else -}}
{{- fail "store.url: name the blob container that keeps runs, or a claim in store.volume" -}}
{{- end -}}
{{- end }}

{{/* Arguments that reading and merging share: the place of runs, what is asked, and how it is logged. */}}
{{- define "aks-audit.commonArgs" -}}
{{- $scan := .Values.scan -}}
- {{ printf "--store=%s" (include "aks-audit.store" .) | quote }}
- {{ printf "--scope=%s" $scan.scope | quote }}
- {{ printf "--auth=%s" $scan.auth | quote }}
- {{ printf "--cloud=%s" $scan.cloud | quote }}
{{- range $scan.checklists }}
- {{ printf "--checklist=%s" . | quote }}
{{- end }}
{{- if .Values.config }}
- --config=/etc/aks-audit/aks-audit.toml
{{- end }}
- --wait={{ int $scan.wait }}
- --fail-on=none
- --log-format=json
{{- end }}

{{/* Arguments of what has the whole: the merge of a fleet, else the scan. It reports, tells others, and ends old runs. */}}
{{- define "aks-audit.wholeArgs" -}}
{{- $notify := .Values.notify -}}
{{- if and (or $notify.webhook $notify.pushgatewayPassword) (not $notify.existingSecret) -}}
{{- fail "notify.existingSecret: name the Secret that holds the address of the webhook, or the Pushgateway's name and password" -}}
{{- else if and $notify.logAnalytics.url (not $notify.logAnalytics.dcrId) -}}
{{- fail "notify.logAnalytics.dcrId: name the data collection rule by its immutable id, dcr-…" -}}
{{- end -}}
- {{ printf "--format=%s" (join "," .Values.scan.formats) | quote }}
{{- with .Values.store.keepDays }}
- --keep={{ int . }}
{{- end }}
{{- with $notify.webhook }}
- {{ printf "--webhook=%s" . | quote }}
{{- with $notify.reportUrl }}
- {{ printf "--report-url=%s" . | quote }}
{{- end }}
{{- end }}
{{- with $notify.pushgateway }}
- {{ printf "--pushgateway=%s" . | quote }}
{{- end }}
{{- with $notify.logAnalytics.url }}
- {{ printf "--log-analytics=%s" . | quote }}
- {{ printf "--dcr-id=%s" $notify.logAnalytics.dcrId | quote }}
- {{ printf "--stream=%s" $notify.logAnalytics.stream | quote }}
{{- end }}
{{- end }}

{{/* Where what has the whole finds its secrets: files, as every process that it starts could read its environment. */}}
{{- define "aks-audit.wholeEnv" -}}
{{- if .Values.notify.webhook }}
- name: AKS_AUDIT_WEBHOOK_URL_FILE
  value: /etc/aks-audit/secrets/webhook-url
{{- end }}
{{- if .Values.notify.pushgatewayPassword }}
- name: AKS_AUDIT_PUSHGATEWAY_USER_FILE
  value: /etc/aks-audit/secrets/pushgateway-user
- name: AKS_AUDIT_PUSHGATEWAY_PASSWORD_FILE
  value: /etc/aks-audit/secrets/pushgateway-password
{{- end }}
{{- end }}

{{- define "aks-audit.scanArgs" -}}
{{- $scan := .Values.scan -}}
- scan
{{ include "aks-audit.commonArgs" . }}
- {{ printf "--source=%s" $scan.source | quote }}
- {{ printf "--in-cluster=%s" $scan.inCluster | quote }}
- --timeout={{ int $scan.timeout }}
- --cluster-timeout={{ int $scan.clusterTimeout }}
{{- with $scan.maxAge }}
- --max-age={{ . }}
{{- end }}
{{- range $scan.subscriptions }}
- {{ printf "--subscription=%s" . | quote }}
{{- end }}
{{- range $scan.resourceGroups }}
- {{ printf "--resource-group=%s" . | quote }}
{{- end }}
{{- range $scan.clusters }}
- {{ printf "--cluster=%s" . | quote }}
{{- end }}
{{- range $key, $value := $scan.tags }}
- {{ printf "--tag=%s=%s" $key $value | quote }}
{{- end }}
{{- range $scan.read }}
- {{ printf "--read=%s" . | quote }}
{{- end }}
{{- range $scan.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/*
The template of a Job's pods. `root` is the chart's own scope; `args`, `env` and `resources` are the container's, and
`component` says in a label what the pods do, and `whole` whether they tell others of the whole.
*/}}
{{- define "aks-audit.pod" -}}
{{- $values := .root.Values -}}
{{- $inside := eq $values.scan.inCluster "service-account" -}}
{{- $claim := include "aks-audit.claim" .root -}}
{{- $secret := ternary $values.notify.existingSecret "" .whole -}}
metadata:
  {{- $labels := include "aks-audit.labels" .root | fromYaml }}
  {{- $_ := set $labels "app.kubernetes.io/component" .component }}
  {{- if eq $values.scan.auth "workload" }}
  {{- $_ := set $labels "azure.workload.identity/use" "true" }}
  {{- end }}
  labels:
    {{- toYaml (merge $labels $values.podLabels) | nindent 4 }} {{- /* what the network policy selects by stays */}}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "aks-audit.serviceAccount" .root }}
  automountServiceAccountToken: {{ and $inside (eq .component "scan") }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int $values.runAs }}
    runAsGroup: {{ int $values.runAs }}
    fsGroup: {{ int $values.runAs }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: aks-audit
      image: {{ include "aks-audit.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        {{- .args | nindent 8 }}
      env:
        - name: AKS_AUDIT_SCAN_ID
          valueFrom:
            fieldRef:
              fieldPath: metadata.uid
        {{- with .env }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- if .whole }}
        {{- with include "aks-audit.wholeEnv" .root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        - name: HOME
          value: /tmp
        {{- if eq $values.scan.auth "managed" }}
        {{- with $values.serviceAccount.clientId }}
        - name: AZURE_CLIENT_ID
          value: {{ . | quote }}
        {{- end }}
        {{- end }}
        {{- range $name, $value := $values.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $claim }}
        - name: store
          mountPath: /store
        {{- end }}
        {{- if $values.config }}
        - name: config
          mountPath: /etc/aks-audit/aks-audit.toml
          subPath: aks-audit.toml
          readOnly: true
        {{- end }}
        {{- if $secret }}
        - name: secrets
          mountPath: /etc/aks-audit/secrets
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: {{ $values.tmpSize }}
    {{- with $claim }}
    - name: store
      persistentVolumeClaim:
        claimName: {{ . }}
    {{- end }}
    {{- if $values.config }}
    - name: config
      configMap:
        name: {{ include "aks-audit.fullname" .root }}
    {{- end }}
    {{- with $secret }}
    - name: secrets
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
{{- end }}

{{/* What both CronJobs say of when they run. */}}
{{- define "aks-audit.clock" -}}
timeZone: {{ .Values.timeZone | quote }}
suspend: {{ .Values.suspend }}
concurrencyPolicy: Forbid
startingDeadlineSeconds: {{ int .Values.startingDeadlineSeconds }}
successfulJobsHistoryLimit: {{ .Values.successfulJobsHistoryLimit }}
failedJobsHistoryLimit: {{ .Values.failedJobsHistoryLimit }}
{{- end }}

{{/*
What the pods of one Job share names the run: the Job's name, which for a CronJob ends in the scheduled minute. Each pod
takes its place among the shards from the index that the Job gave it.
*/}}
{{- define "aks-audit.runEnv" -}}
- name: AKS_AUDIT_JOB
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
{{- if gt (int .Values.fleet.shards) 1 }}
- name: AKS_AUDIT_SHARDS
  value: {{ .Values.fleet.shards | quote }}
- name: AKS_AUDIT_SHARD_INDEX
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
{{- end }}
{{- end }}

{{- define "aks-audit.subject" -}}
- kind: ServiceAccount
  name: {{ include "aks-audit.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
