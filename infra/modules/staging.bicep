// The staging account: the source exports to it and the destination imports from it. It holds health data until somebody
// deletes it (docs/security.md).

@description('name of the account')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('redundancy')
param sku string

@description('refuse the public network but for private endpoints and the services of allowedResourceIds')
param private bool

@description('resource ids of the two services, or of the workspaces they are in, which reach a private account past its firewall')
param allowedResourceIds array

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
    // The FHIR services do not come by a private endpoint but as resource instances, which only an account with its
    // public network on and its firewall closed lets in (learn.microsoft.com/azure/healthcare-apis/fhir/configure-export-data).
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
      resourceAccessRules: [for id in allowedResourceIds: {
        resourceId: id
        tenantId: tenant().tenantId
      }]
    }
  }
}

output id string = account.id
