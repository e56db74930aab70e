// Log Analytics, unless there is a workspace already, and Application Insights on it.

@description('name of the workspace that is made')
param workspaceName string

@description('name of the Application Insights component')
param insightsName string

@description('region')
param location string

@description('tags')
param tags object

@description('resource id of an existing workspace; empty: one is made')
param workspaceId string

@description('days that the workspace made here keeps its data')
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (empty(workspaceId)) {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    retentionInDays: retentionDays
    sku: {
      name: 'PerGB2018'
    }
  }
}

var target = empty(workspaceId) ? workspace.id : workspaceId

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: insightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: target
    // The handler sends its telemetry with the connection string alone, so that ingestion stays open to it. The string
    // lets its holder add records and read none.
    DisableLocalAuth: false
  }
}

output workspaceId string = target
output insightsId string = insights.id
