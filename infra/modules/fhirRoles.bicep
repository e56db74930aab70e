// What the app may do on one FHIR service, of either kind. Deployed into the service's own group.

@description('resource id of the service')
param serviceId string

@description('object id of the app\'s identity')
param principalId string

@description('ids of the roles')
param roleIds array

var parts = split(serviceId, '/')
// /subscriptions/s/resourceGroups/g/providers/Microsoft.HealthcareApis/services/name has nine parts, the first empty.
var generation1 = length(parts) == 9

resource api 'Microsoft.HealthcareApis/services@2024-03-31' existing = if (generation1) {
  name: parts[8]
}

resource workspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' existing = if (!generation1) {
  name: parts[8]

  resource fhir 'fhirservices' existing = {
    name: last(parts)
  }
}

resource onApi 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roleIds: if (generation1) {
  name: guid(serviceId, principalId, role)
  scope: api
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource onFhir 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roleIds: if (!generation1) {
  name: guid(serviceId, principalId, role)
  scope: workspace::fhir
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

// The service's own identity, which must be allowed into the staging account. A service without one fails the
// deployment here, and rightly: its exports and imports would fail later.
output servicePrincipalId string = generation1 ? api.identity.principalId : workspace::fhir.identity.principalId
