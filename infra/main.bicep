// fhirferry in one resource group: the function app, its storage, its identity and roles, monitoring, and a private
// network when asked for. docs/deploy.md tells how to use it; local/deploy tests what can be tested without Azure.

targetScope = 'resourceGroup'

// --- Names and place

@description('first part of every resource name: 3 to 16 lower-case letters, digits and hyphens, a letter first')
@minLength(3)
@maxLength(16)
param name string = 'fhirferry'

@description('region of everything that is made here; for the plan flex it must be one that az functionapp list-flexconsumption-locations names')
param location string = resourceGroup().location

@description('tags of everything that is made here')
param tags object = {}

// --- The two FHIR services

@description('FERRY_SOURCE_URL: base URL of the source FHIR service, https')
param sourceUrl string

@description('FERRY_DESTINATION_URL: base URL of the destination FHIR service, https')
param destinationUrl string

@description('resource id of the source, an Azure API for FHIR (.../services/name) or a FHIR service (.../workspaces/name/fhirservices/name); empty for an open-source server or one in another tenant: then no role is assigned on it and no private endpoint leads to it')
param sourceResourceId string = ''

@description('resource id of the destination FHIR service (.../workspaces/name/fhirservices/name); empty: no role is assigned on it and no private endpoint leads to it')
param destinationResourceId string = ''

@description('assign every role of docs/security.md, which takes the right to assign roles on each of the resources; false: somebody else assigns them')
param assignRoles bool = true

@description('FERRY_SOURCE_TENANT_ID: tenant of a source that needs client credentials; all three or none')
param sourceTenantId string = ''

@description('FERRY_SOURCE_CLIENT_ID: client id for that source')
param sourceClientId string = ''

@description('FERRY_SOURCE_CLIENT_SECRET: client secret for that source; prefer sourceClientSecretId')
@secure()
param sourceClientSecret string = ''

@description('resource id of the client secret in a key vault with role-based access (.../Microsoft.KeyVault/vaults/name/secrets/name); the app then reads it by reference')
param sourceClientSecretId string = ''

// --- The plan

@description('flex: Flex Consumption; premium: Elastic Premium; dedicated: an App Service plan with Always On')
@allowed([
  'flex'
  'premium'
  'dedicated'
])
param plan string = 'flex'

@description('plan flex: memory of an instance in MB; the host needs most of it, the handler about 20')
@allowed([
  512
  2048
  4096
])
param instanceMemory int = 2048

@description('plan flex: instances always ready for the timer; 0 lets it scale to zero and start cold at every tick')
@minValue(0)
@maxValue(1)
param alwaysReadyTick int = 1

@description('plan flex: instances always ready for the queue')
@minValue(0)
@maxValue(20)
param alwaysReadyVisit int = 1

@description('plan flex: instances always ready for the HTTP API')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 0

@description('plans premium and dedicated: instances that are always there')
@minValue(1)
@maxValue(10)
param minimumInstances int = 1

@description('plans flex and premium: most instances; premium takes 20 at most. Documentation has named 40 as the lowest for flex')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('plan premium: size')
@allowed([
  'EP1'
  'EP2'
  'EP3'
])
param premiumSku string = 'EP1'

@description('plan dedicated: size; Always On needs B1 or larger')
@allowed([
  'B1'
  'B2'
  'B3'
  'S1'
  'P0v3'
  'P1v3'
])
param dedicatedSku string = 'B1'

@description('plan flex: https address of a release\'s fhirferry.zip, deployed at once; empty: publish by azd or by make publish')
param packageUri string = ''

@description('addresses that may call the HTTP API, in CIDR form, separated by commas; empty: every one that has a function key')
param operatorAddresses string = ''

// --- Storage

@description('resource id of the storage account that both services already use; empty: one is made')
param stagingAccountId string = ''

@description('redundancy of the staging account that is made')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param stagingSku string = 'Standard_ZRS'

@description('redundancy of the account for the host, the progress tables and the queue')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param hostSku string = 'Standard_ZRS'

@description('FERRY_STAGING_CONTAINER: container for exported files; the handler creates it')
param stagingContainer string = 'fhirferry'

@description('FERRY_STAGING_CONNECTION: connection string of the staging account; empty: the managed identity, which is what should be used')
@secure()
param stagingConnection string = ''

// --- Monitoring

@description('resource id of an existing Log Analytics workspace; empty: one is made')
param workspaceId string = ''

@description('days that logs and telemetry are kept, in the workspace that is made')
@minValue(30)
@maxValue(730)
param retentionDays int = 90

@description('addresses to write to when a person is needed, separated by commas; empty: the alerts show in the portal alone')
param alertEmails string = ''

@description('resource id of an existing action group to call too')
param actionGroupId string = ''

@description('hours without progress before somebody is told; longer than your longest job takes')
@minValue(1)
@maxValue(40)
param noProgressHours int = 12

@description('rejected lines above which somebody is told')
@minValue(0)
param rejectsAbove int = 0

@description('hours of lag above which somebody is told; 0: nobody is. Set it when a continuous migration has caught up')
@minValue(0)
param lagAboveHours int = 0

@description('starts of the handler on one instance within an hour above which somebody is told')
@minValue(0)
param restartsAbove int = 3

// --- Private network

@description('connect the app to a virtual network and reach storage and both FHIR services by private endpoints')
param privateNetwork bool = false

@description('resource id of an existing subnet for the app: empty of anything else, delegated to Microsoft.App/environments (plan flex) or Microsoft.Web/serverFarms (the others); empty: a network is made')
param integrationSubnetId string = ''

@description('resource id of an existing subnet for the private endpoints, in the same network; both or none')
param endpointSubnetId string = ''

@description('address range of the network that is made, /24 or larger')
param addressPrefix string = '10.90.0.0/24'

@description('make the private DNS zones here and link them; false: a central team or a policy does')
param createDnsZones bool = true

// --- The migration: the settings of the handler, see the README

@description('FERRY_SCHEDULE: NCRONTAB of the timer, read by the host too')
param schedule string = '0 * * * * *'

@description('FERRY_QUEUE: queue of the workers, read by the host too')
param queue string = 'fhirferry-work'

@description('FERRY_MODE: continuous copies new data until cut over or stopped; once ends when everything up to the start has been moved')
@allowed([
  'continuous'
  'once'
])
param mode string = 'continuous'

@description('FERRY_SINCE: moves what was last updated at or after this RFC 3339 instant; empty: from the oldest resource')
param since string = ''

@description('FERRY_UNTIL: moves what was last updated up to this instant, then completes; empty: without end')
param until string = ''

@description('FERRY_RESOURCE_TYPES: resource types to move, separated by commas; empty: every type that the source knows')
param resourceTypes string = ''

@description('FERRY_WINDOW: longest time span of one chunk, such as 30d; empty: chunks are cut by their number of resources alone')
param window string = ''

@description('FERRY_CHUNK_LIMIT: most resources in one chunk')
param chunkLimit int = 5000000

@description('FERRY_HISTORY: also move earlier versions')
param history bool = true

@description('FERRY_DELETED: also move soft deletes')
param deleted bool = true

@description('FERRY_SEARCH_PARAMETERS: also move custom search parameters and reindex; gives the app the role FHIR Data Writer on the destination')
param searchParameters bool = true

@description('FERRY_PARALLEL: _isParallel on exports of every type')
param parallel bool = true

@description('FERRY_MAX_COUNT: _maxCount on exports; 0: not sent')
@minValue(0)
@maxValue(10000)
param maxCount int = 0

@description('FERRY_ANONYMIZATION_CONFIG: configuration file of a de-identified export, in the container anonymization of the staging account; empty: not de-identified')
param anonymizationConfig string = ''

@description('FERRY_ANONYMIZATION_CONFIG_ETAG: version of that file')
param anonymizationConfigEtag string = ''

@description('FERRY_MAX_EXPORTS: export jobs in flight, at most')
@minValue(1)
@maxValue(100)
param maxExports int = 4

@description('FERRY_MAX_IMPORTS: import jobs in flight, at most')
@minValue(1)
@maxValue(5)
param maxImports int = 2

@description('FERRY_FILES_PER_IMPORT: files in one $import, at most')
@minValue(1)
@maxValue(10000)
param filesPerImport int = 10000

@description('FERRY_SETTLE: no window ends later than this before now')
param settle string = '5m'

@description('FERRY_INTERVAL: shortest span of a window at the moving edge')
param interval string = '15m'

@description('FERRY_POLL: shortest wait between two polls of one job')
param poll string = '30s'

@description('FERRY_CONFIRMATIONS: equal answers needed before an export counts as complete')
@minValue(2)
param confirmations int = 3

@description('FERRY_CONFIRM_INTERVAL: wait between those answers')
param confirmInterval string = '30s'

@description('FERRY_STALL: a job that shows neither progress nor an end for so long is cancelled and tried again')
param stall string = '24h'

@description('FERRY_REQUEST_TIMEOUT: longest wait for one answer of a FHIR service')
param requestTimeout string = '100s'

@description('FERRY_MAX_FAILURES: consecutive failures of one chunk before it counts as failed and the migration halts')
@minValue(1)
param maxFailures int = 5

@description('FERRY_QUIET_HOURS: when no new job is started, such as Mon-Fri 08:00-17:00 Europe/London; Sat 10:00-12:00 UTC')
param quietHours string = ''

@description('FERRY_QUIET_IMPORTS: during quiet hours still import what has been exported')
param quietImports bool = false

// --- What is made of them

var suffix = uniqueString(resourceGroup().id, name)
var short = take(replace(name, '-', ''), 9)
var appName = '${name}-${suffix}'
var hostAccountName = '${short}h${suffix}'
var newStagingName = '${short}s${suffix}'
var packageContainer = 'package'
var roles = loadJsonContent('roles.json')

// A module's scope is worked out even where its condition is false: an id that is not given is replaced by one that parses.
var nowhere = '${resourceGroup().id}/providers/none/none/none/none/none'
var sourceParts = split(empty(sourceResourceId) ? nowhere : sourceResourceId, '/')
var destinationParts = split(empty(destinationResourceId) ? nowhere : destinationResourceId, '/')
var secretParts = split(empty(sourceClientSecretId) ? nowhere : sourceClientSecretId, '/')
var stagingParts = split(empty(stagingAccountId) ? resourceId('Microsoft.Storage/storageAccounts', newStagingName) : stagingAccountId, '/')

// Private links and firewalls know an Azure API for FHIR by itself, but a FHIR service by its workspace: the first nine parts.
var sourceLinkId = empty(sourceResourceId) ? '' : join(take(sourceParts, 9), '/')
var destinationLinkId = empty(destinationResourceId) ? '' : join(take(destinationParts, 9), '/')
var linkIds = filter(union([sourceLinkId], [destinationLinkId]), id => !empty(id))

var sourceSecret = empty(sourceClientSecretId)
  ? sourceClientSecret
  : '@Microsoft.KeyVault(SecretUri=https://${secretParts[8]}${environment().suffixes.keyvaultDns}/secrets/${last(secretParts)})'

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    name: '${name}-identity'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    workspaceName: '${name}-logs-${suffix}'
    insightsName: '${name}-insights'
    location: location
    tags: tags
    workspaceId: workspaceId
    retentionDays: retentionDays
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: hostAccountName
    location: location
    tags: tags
    sku: hostSku
    packageContainer: packageContainer
    private: privateNetwork
  }
}

module staging 'modules/staging.bicep' = if (empty(stagingAccountId)) {
  name: 'staging'
  params: {
    name: newStagingName
    location: location
    tags: tags
    sku: stagingSku
    private: privateNetwork
    allowedResourceIds: linkIds
  }
}

// --- Roles: docs/security.md has them in a table

module hostRoles 'modules/hostRoles.bicep' = if (assignRoles) {
  name: 'hostRoles'
  params: {
    accountName: hostAccountName
    principalId: identity.outputs.principalId
  }
  dependsOn: [
    storage
  ]
}

module sourceRoles 'modules/fhirRoles.bicep' = if (assignRoles && !empty(sourceResourceId)) {
  name: 'sourceRoles-${suffix}'
  scope: resourceGroup(sourceParts[2], sourceParts[4])
  params: {
    serviceId: sourceResourceId
    principalId: identity.outputs.principalId
    roleIds: [
      roles.fhirExporter.id
      roles.fhirReader.id
    ]
  }
}

module destinationRoles 'modules/fhirRoles.bicep' = if (assignRoles && !empty(destinationResourceId)) {
  name: 'destinationRoles-${suffix}'
  scope: resourceGroup(destinationParts[2], destinationParts[4])
  params: {
    serviceId: destinationResourceId
    principalId: identity.outputs.principalId
    roleIds: concat([
      roles.fhirImporter.id
      roles.fhirReader.id
    ], searchParameters ? [
      roles.fhirWriter.id
    ] : [])
  }
}

module secretRole 'modules/secretRole.bicep' = if (assignRoles && !empty(sourceClientSecretId)) {
  name: 'secretRole-${suffix}'
  scope: resourceGroup(secretParts[2], secretParts[4])
  params: {
    vaultName: secretParts[8]
    secretName: last(secretParts)
    principalId: identity.outputs.principalId
  }
}

// Without the right to assign roles the module only tells the address of the account.
module stagingRoles 'modules/stagingRoles.bicep' = {
  name: 'stagingRoles-${suffix}'
  scope: resourceGroup(stagingParts[2], stagingParts[4])
  params: {
    accountName: last(stagingParts)
    principalIds: assignRoles ? concat([
      identity.outputs.principalId
    ], empty(sourceResourceId) ? [] : [
      sourceRoles.outputs.servicePrincipalId
    ], empty(destinationResourceId) ? [] : [
      destinationRoles.outputs.servicePrincipalId
    ]) : []
  }
  dependsOn: [
    staging
  ]
}

// --- Private network

var storageZone = environment().suffixes.storage
// The domain of a service is its host without the first label, in every cloud:
// name.azurehealthcareapis.com, or workspace-name.fhir.azurehealthcareapis.com.
var sourceHost = split(replace(sourceUrl, 'https://', ''), '/')[0]
var sourceDomain = substring(sourceHost, indexOf(sourceHost, '.') + 1)
var destinationHost = split(replace(destinationUrl, 'https://', ''), '/')[0]
var destinationDomain = substring(destinationHost, indexOf(destinationHost, '.') + 1)
var healthDomain = replace(destinationDomain, 'fhir.', '')
var workspaceZones = [
  'privatelink.workspace.${healthDomain}'
  'privatelink.fhir.${healthDomain}'
  'privatelink.dicom.${healthDomain}'
]

var storageEndpoints = [
  {
    name: 'host-blob'
    targetId: resourceId('Microsoft.Storage/storageAccounts', hostAccountName)
    group: 'blob'
    zones: ['privatelink.blob.${storageZone}']
  }
  {
    name: 'host-queue'
    targetId: resourceId('Microsoft.Storage/storageAccounts', hostAccountName)
    group: 'queue'
    zones: ['privatelink.queue.${storageZone}']
  }
  {
    name: 'host-table'
    targetId: resourceId('Microsoft.Storage/storageAccounts', hostAccountName)
    group: 'table'
    zones: ['privatelink.table.${storageZone}']
  }
  {
    name: 'staging-blob'
    targetId: join(stagingParts, '/')
    group: 'blob'
    zones: ['privatelink.blob.${storageZone}']
  }
]

// Two services of one workspace share its endpoint.
var fhirEndpoints = map(linkIds, id => {
  name: last(split(id, '/'))
  targetId: id
  group: contains(id, '/workspaces/') ? 'healthcareworkspace' : 'fhir'
  zones: contains(id, '/workspaces/') ? workspaceZones : ['privatelink.${sourceDomain}']
})

var endpoints = privateNetwork ? concat(storageEndpoints, fhirEndpoints) : []
var zones = createDnsZones ? reduce(endpoints, [], (all, endpoint) => union(all, endpoint.zones)) : []

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    name: '${name}-network'
    location: location
    tags: tags
    addressPrefix: addressPrefix
    delegation: plan == 'flex' ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'
    integrationSubnetId: integrationSubnetId
    endpointSubnetId: endpointSubnetId
    zones: zones
  }
}

module privateEndpoints 'modules/endpoint.bicep' = [for endpoint in endpoints: {
  name: 'endpoint-${endpoint.name}'
  params: {
    name: '${name}-${endpoint.name}'
    location: location
    tags: tags
    subnetId: network.outputs.endpointSubnetId
    targetId: endpoint.targetId
    group: endpoint.group
    zones: createDnsZones ? endpoint.zones : []
  }
  dependsOn: [
    storage
    staging
  ]
}]

// --- The app

module functionApp 'modules/functionapp.bicep' = {
  name: 'functionApp'
  params: {
    name: appName
    location: location
    tags: tags
    plan: plan
    instanceMemory: instanceMemory
    alwaysReady: [
      {
        name: 'function:tick'
        instanceCount: alwaysReadyTick
      }
      {
        name: 'function:visit'
        instanceCount: alwaysReadyVisit
      }
      {
        name: 'http'
        instanceCount: alwaysReadyHttp
      }
    ]
    minimumInstances: minimumInstances
    maximumInstances: maximumInstances
    premiumSku: premiumSku
    dedicatedSku: dedicatedSku
    packageUri: packageUri
    packageUrl: storage.outputs.packageUrl
    identityId: identity.outputs.id
    insightsId: monitoring.outputs.insightsId
    subnetId: privateNetwork ? network.outputs.integrationSubnetId : ''
    operatorAddresses: empty(operatorAddresses) ? [] : map(split(operatorAddresses, ','), address => trim(address))
    settings: settings
  }
  dependsOn: [
    hostRoles
    privateEndpoints
    secretRole
  ]
}

// Booleans are written out: string(true) is True in Azure Resource Manager, which the handler refuses.
var settings = {
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobEndpoint
  AzureWebJobsStorage__queueServiceUri: storage.outputs.queueEndpoint
  AzureWebJobsStorage__tableServiceUri: storage.outputs.tableEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  AZURE_CLIENT_ID: identity.outputs.clientId
  // For the client credentials of the source in a sovereign cloud.
  AZURE_AUTHORITY_HOST: environment().authentication.loginEndpoint
  FERRY_STAGING_URL: stagingRoles.outputs.blobEndpoint
  FERRY_SOURCE_URL: sourceUrl
  FERRY_DESTINATION_URL: destinationUrl
  FERRY_SOURCE_TENANT_ID: sourceTenantId
  FERRY_SOURCE_CLIENT_ID: sourceClientId
  FERRY_SOURCE_CLIENT_SECRET: sourceSecret
  FERRY_STAGING_CONTAINER: stagingContainer
  FERRY_STAGING_CONNECTION: stagingConnection
  FERRY_SCHEDULE: schedule
  FERRY_QUEUE: queue
  FERRY_MODE: mode
  FERRY_SINCE: since
  FERRY_UNTIL: until
  FERRY_RESOURCE_TYPES: resourceTypes
  FERRY_WINDOW: window
  FERRY_CHUNK_LIMIT: string(chunkLimit)
  FERRY_HISTORY: history ? 'true' : 'false'
  FERRY_DELETED: deleted ? 'true' : 'false'
  FERRY_SEARCH_PARAMETERS: searchParameters ? 'true' : 'false'
  FERRY_PARALLEL: parallel ? 'true' : 'false'
  FERRY_MAX_COUNT: string(maxCount)
  FERRY_ANONYMIZATION_CONFIG: anonymizationConfig
  FERRY_ANONYMIZATION_CONFIG_ETAG: anonymizationConfigEtag
  FERRY_MAX_EXPORTS: string(maxExports)
  FERRY_MAX_IMPORTS: string(maxImports)
  FERRY_FILES_PER_IMPORT: string(filesPerImport)
  FERRY_SETTLE: settle
  FERRY_INTERVAL: interval
  FERRY_POLL: poll
  FERRY_CONFIRMATIONS: string(confirmations)
  FERRY_CONFIRM_INTERVAL: confirmInterval
  FERRY_STALL: stall
  FERRY_REQUEST_TIMEOUT: requestTimeout
  FERRY_MAX_FAILURES: string(maxFailures)
  FERRY_QUIET_HOURS: quietHours
  FERRY_QUIET_IMPORTS: quietImports ? 'true' : 'false'
}

module diagnostics 'modules/diagnostics.bicep' = {
  name: 'diagnostics'
  params: {
    appName: functionApp.outputs.name
    ofApp: plan != 'flex'
    // An account of another group has its own owner, who decides on its logs.
    accountNames: empty(stagingAccountId) ? [hostAccountName, newStagingName] : [hostAccountName]
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    staging
  ]
}

// --- Watch

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    name: 'fhirferry: ${name}'
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    emails: empty(alertEmails) ? [] : map(split(alertEmails, ','), address => trim(address))
    actionGroupId: actionGroupId
    noProgressHours: noProgressHours
    rejectsAbove: rejectsAbove
    lagAboveHours: lagAboveHours
    restartsAbove: restartsAbove
  }
}

@description('name of the function app: make publish APP=<name>')
output appName string = functionApp.outputs.name

@description('base address of the HTTP API')
output apiUrl string = functionApp.outputs.url

@description('blob endpoint of the staging account: what the source exports to and the destination imports from')
output stagingUrl string = stagingRoles.outputs.blobEndpoint

@description('address of the container of the package, which plan premium reads fhirferry.zip from')
output packageUrl string = storage.outputs.packageUrl

@description('object id of the app\'s identity, for roles that are assigned by hand')
output principalId string = identity.outputs.principalId
