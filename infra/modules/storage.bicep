// The account of the host: its locks, the app's package, the progress tables, the documents and the queue. No health
// data is kept here. Only Entra tokens open it: no shared key, no anonymous blob.

@description('name of the account')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('redundancy')
param sku string

@description('container of the app package')
param packageContainer string

@description('refuse the public network; private endpoints lead here')
param private bool

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowCrossTenantReplication: false
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
}

// Flex Consumption wants the container of its package to exist already
// (learn.microsoft.com/azure/azure-functions/flex-consumption-how-to, "Configure deployment settings").
resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

// The addresses are those that this cloud gives, so sovereign clouds need nothing more.
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output packageUrl string = '${account.properties.primaryEndpoints.blob}${package.name}'
