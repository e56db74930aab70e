// One FHIR service of Azure Health Data Services to another, in another region or subscription: once, with the source
// read-only. Put in your own names, then:
//   az deployment group create -g <group> --parameters infra/ahds-to-ahds.bicepparam
using 'main.bicep'

param sourceUrl = 'https://contosowest-clinic.fhir.azurehealthcareapis.com'
param sourceResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/fhir-west/providers/Microsoft.HealthcareApis/workspaces/contosowest/fhirservices/clinic'
param destinationUrl = 'https://contosoeast-clinic.fhir.azurehealthcareapis.com'
param destinationResourceId = '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/fhir-east/providers/Microsoft.HealthcareApis/workspaces/contosoeast/fhirservices/clinic'

param mode = 'once'
param settle = '10m'
