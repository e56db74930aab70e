// Sends the platform's own logs to the workspace: invocations of the app, and every read, write and delete of a blob in
// the two accounts, which is the trail of who touched exported data.

@description('name of the function app')
param appName string

@description('send the app\'s own logs too; Flex Consumption has no diagnostic settings, and Application Insights gets the same lines')
param ofApp bool

@description('names of the storage accounts of this group to watch')
param accountNames array

@description('resource id of the workspace')
param workspaceId string

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: appName
}

resource appLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (ofApp) {
  name: 'fhirferry'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = [for account in accountNames: {
  name: '${account}/default'
}]

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [for (account, i) in accountNames: {
  name: 'fhirferry'
  scope: blobs[i]
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}]
