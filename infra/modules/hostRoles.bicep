// What the app may do on the host's account: blobs with leases (owner, as the host asks for it), queues, tables
// (learn.microsoft.com/azure/azure-functions/functions-reference, "Connecting to host storage with an identity").

@description('name of the host account')
param accountName string

@description('object id of the app\'s identity')
param principalId string

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

var roles = loadJsonContent('../roles.json')

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  roles.blobOwner.id
  roles.queueContributor.id
  roles.tableContributor.id
]: {
  name: guid(account.id, principalId, role)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]
