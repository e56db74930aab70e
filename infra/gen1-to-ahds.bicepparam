// An Azure API for FHIR to a FHIR service of Azure Health Data Services, which is the usual case: continuous copying,
// then a cutover. Put in your own names, then:
//   az deployment group create -g <group> --parameters infra/gen1-to-ahds.bicepparam
using 'main.bicep'

param sourceUrl = 'https://contoso-old.azurehealthcareapis.com'
param sourceResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/fhir-old/providers/Microsoft.HealthcareApis/services/contoso-old'
param destinationUrl = 'https://contoso-clinic.fhir.azurehealthcareapis.com'
param destinationResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/fhir-new/providers/Microsoft.HealthcareApis/workspaces/contoso/fhirservices/clinic'

// An Azure API for FHIR exports faster with more throughput, at its own price: few exports at a time spare its users.
param maxExports = 2
param quietHours = 'Mon-Fri 07:00-19:00 Europe/Berlin'
param quietImports = true
