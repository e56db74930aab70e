// An Azure API for FHIR to a FHIR service, both closed to the public network: the app goes through an existing virtual
// network whose central team keeps the private DNS zones, on an Elastic Premium plan. Put in your own names, then:
//   az deployment group create -g <group> --parameters infra/private-network.bicepparam
using 'main.bicep'

param sourceUrl = 'https://contoso-old.azurehealthcareapis.com'
param sourceResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/fhir-old/providers/Microsoft.HealthcareApis/services/contoso-old'
param destinationUrl = 'https://contoso-clinic.fhir.azurehealthcareapis.com'
param destinationResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/fhir-new/providers/Microsoft.HealthcareApis/workspaces/contoso/fhirservices/clinic'

param plan = 'premium'
param privateNetwork = true
param integrationSubnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/spoke/subnets/fhirferry-app'
param endpointSubnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints'
param createDnsZones = false
param operatorAddresses = '203.0.113.0/24'
param retentionDays = 365
