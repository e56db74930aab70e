// Who may read and write the staging account: the app and both FHIR services. Deployed into the account's own group.

@description('name of the staging account')
param accountName string

@description('object ids of the identities')
param principalIds array

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

var roles = loadJsonContent('../roles.json')

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principalId in principalIds: {
  name: guid(account.id, principalId, roles.blobContributor.id)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobContributor.id)
  }
}]

output blobEndpoint string = account.properties.primaryEndpoints.blob
