// What azd up deploys: values come from the azd environment (azd env set FERRY_SOURCE_URL https://...). Everything that
// is not named here keeps the default of main.bicep.
using 'main.bicep'

param sourceUrl = readEnvironmentVariable('FERRY_SOURCE_URL')
param destinationUrl = readEnvironmentVariable('FERRY_DESTINATION_URL')
param sourceResourceId = readEnvironmentVariable('FERRY_SOURCE_RESOURCE_ID', '')
param destinationResourceId = readEnvironmentVariable('FERRY_DESTINATION_RESOURCE_ID', '')
param stagingAccountId = readEnvironmentVariable('FERRY_STAGING_ACCOUNT_ID', '')
param mode = readEnvironmentVariable('FERRY_MODE', 'continuous')
