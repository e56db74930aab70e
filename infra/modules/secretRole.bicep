// Lets the app read one secret of a key vault. Deployed into the vault's own group.

@description('name of the vault, which must use role-based access')
param vaultName string

@description('name of the secret')
param secretName string

@description('object id of the app\'s identity')
param principalId string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName

  resource secret 'secrets' existing = {
    name: secretName
  }
}

var roles = loadJsonContent('../roles.json')

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault::secret.id, principalId, roles.secretsUser.id)
  scope: vault::secret
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser.id)
  }
}
