// The one identity of the app. User-assigned, so that its roles are there before the app starts and outlive it.

@description('name of the identity')
param name string

@description('region')
param location string

@description('tags')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output principalId string = identity.properties.principalId
output clientId string = identity.properties.clientId
