// The table AksAudit_CL in a workspace, and the data collection rule by which `aks-audit scan --log-analytics` fills it.
//
//   az deployment group create --resource-group rg-audit --template-file log-analytics.bicep \
//     --parameters workspaceName=law-audit principalId=OBJECT-ID-OF-THE-IDENTITY
//
// Its outputs are what the options --log-analytics, --dcr-id and --stream take.

@description('The name of a Log Analytics workspace in this resource group.')
param workspaceName string

@description('The object id of the identity that aks-audit runs as; empty: nobody is permitted to send rows.')
param principalId string = ''

@description('The name of the data collection rule.')
param ruleName string = 'dcr-aks-audit'

@description('For how many days rows are kept.')
@minValue(4)
@maxValue(730)
param retentionInDays int = 400

@description('The region of the workspace, in which the rule has to be, too.')
param location string = resourceGroup().location

var table = 'AksAudit_CL'
var stream = 'Custom-${table}'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

var columns = [
  { name: 'TimeGenerated', type: 'datetime' }
  { name: 'Kind', type: 'string' }
  { name: 'Scope', type: 'string' }
  { name: 'Run', type: 'string' }
  { name: 'Scan', type: 'string' }
  { name: 'ToolVersion', type: 'string' }
  { name: 'Complete', type: 'boolean' }
  { name: 'Started', type: 'datetime' }
  { name: 'DurationSeconds', type: 'real' }
  { name: 'ExitCode', type: 'int' }
  { name: 'Score', type: 'real' }
  { name: 'ScoreLow', type: 'real' }
  { name: 'ScoreHigh', type: 'real' }
  { name: 'Clusters', type: 'int' }
  { name: 'Failures', type: 'dynamic' }
  { name: 'Accepted', type: 'int' }
  { name: 'Unknown', type: 'int' }
  { name: 'Change', type: 'string' }
  { name: 'Rule', type: 'string' }
  { name: 'RuleTitle', type: 'string' }
  { name: 'Severity', type: 'string' }
  { name: 'Resource', type: 'string' }
  { name: 'ClusterIds', type: 'dynamic' }
  { name: 'Outcome', type: 'string' }
  { name: 'OutcomeBefore', type: 'string' }
  { name: 'Message', type: 'string' }
  { name: 'MessageBefore', type: 'string' }
  { name: 'IsAccepted', type: 'boolean' }
  { name: 'Why', type: 'string' }
  { name: 'Fingerprint', type: 'string' }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource rows 'Microsoft.OperationalInsights/workspaces/tables@2023-09-01' = {
  parent: workspace
  name: table
  properties: {
    plan: 'Analytics'
    retentionInDays: retentionInDays
    schema: {
      name: table
      columns: map(columns, column => {
        name: column.name
        type: column.type == 'datetime' ? 'dateTime' : column.type // which tables and rules spell otherwise
      })
    }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: ruleName
  location: location
  kind: 'Direct'
  properties: {
    streamDeclarations: {
      '${stream}': {
        columns: columns
      }
    }
    destinations: {
      logAnalytics: [
        {
          workspaceResourceId: workspace.id
          name: 'workspace'
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          stream
        ]
        destinations: [
          'workspace'
        ]
        transformKql: 'source'
        outputStream: stream
      }
    ]
  }
  dependsOn: [
    rows
  ]
}

resource sends 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(principalId)) {
  name: guid(rule.id, principalId, monitoringMetricsPublisher)
  scope: rule
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

@description('--log-analytics')
output endpoint string = rule.properties.endpoints.logsIngestion

@description('--dcr-id')
output ruleId string = rule.properties.immutableId

@description('--stream')
output streamName string = stream
