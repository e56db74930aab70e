// The plan and the function app. The three plans differ in where the package is read from and in what keeps the timer
// alive; everything else is shared.

@description('name of the app')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('flex, premium or dedicated')
@allowed([
  'flex'
  'premium'
  'dedicated'
])
param plan string

@description('plan flex: memory of an instance in MB')
param instanceMemory int

@description('plan flex: instances always ready, as {name, instanceCount}')
param alwaysReady array

@description('plans premium and dedicated: fewest instances')
param minimumInstances int

@description('plans flex and premium: most instances')
param maximumInstances int

@description('plan premium: size')
param premiumSku string

@description('plan dedicated: size')
param dedicatedSku string

@description('plan flex: https address of a package to deploy at once; empty: none')
param packageUri string

@description('address of the container of the package')
param packageUrl string

@description('resource id of the identity')
param identityId string

@description('resource id of the Application Insights component')
param insightsId string

@description('resource id of the subnet for outgoing calls; empty: none')
param subnetId string

@description('addresses that may call the app, in CIDR form; empty: all')
param operatorAddresses array

@description('app settings of the handler; an empty value is left out and means the default')
@secure()
param settings object

var flex = plan == 'flex'
var premium = plan == 'premium'

// Elastic Premium on Linux takes 20 instances in every region; some regions take more
// (learn.microsoft.com/azure/azure-functions/functions-premium-plan).
var premiumMaximum = max(minimumInstances, min(maximumInstances, 20))

var sku = {
  flex: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  premium: {
    name: premiumSku
    tier: 'ElasticPremium'
  }
  dedicated: {
    name: dedicatedSku
    capacity: minimumInstances
  }
}

resource serverFarm 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-plan'
  location: location
  tags: tags
  kind: premium ? 'elastic' : (flex ? 'functionapp' : 'linux')
  sku: sku[plan]
  properties: {
    reserved: true
    maximumElasticWorkerCount: premium ? premiumMaximum : null
  }
}

var siteConfig = {
  minTlsVersion: '1.2'
  ipSecurityRestrictionsDefaultAction: empty(operatorAddresses) ? 'Allow' : 'Deny'
  ipSecurityRestrictions: map(range(0, length(operatorAddresses)), i => {
    name: 'operator-${i}'
    priority: 100 + i
    action: 'Allow'
    ipAddress: operatorAddresses[i]
  })
}

var siteConfigOfPlan = {
  // Most of siteConfig is deprecated on Flex Consumption and refused or ignored
  // (learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption plan deprecations").
  flex: {}
  premium: {
    // A custom handler has no language image: the runtime is named by FUNCTIONS_WORKER_RUNTIME.
    linuxFxVersion: ''
    ftpsState: 'Disabled'
    minimumElasticInstanceCount: minimumInstances
    functionAppScaleLimit: premiumMaximum
    // Lets the host, not the platform, look at a queue that only an identity or a private endpoint reaches.
    functionsRuntimeScaleMonitoringEnabled: true
  }
  dedicated: {
    linuxFxVersion: ''
    ftpsState: 'Disabled'
    // Without it an idle app is unloaded and its timer with it.
    alwaysOn: true
  }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  // azd finds the app by this tag (azure.yaml).
  tags: union(tags, {
    'azd-service-name': 'ferry'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: serverFarm.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    vnetRouteAllEnabled: flex || empty(subnetId) ? null : true
    siteConfig: union(siteConfig, siteConfigOfPlan[plan])
    functionAppConfig: flex ? {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        alwaysReady: filter(alwaysReady, entry => entry.instanceCount > 0)
      }
    } : null
  }
}

// Publishing and FTP by password are off: func, azd and az use Entra tokens. Flex Consumption has no FTP.
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [for channel in (flex ? ['scm'] : ['scm', 'ftp']): {
  parent: site
  name: channel
  properties: {
    allow: false
  }
}]

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: last(split(insightsId, '/'))
}

var settingsOfPlan = {
  // Flex Consumption takes its runtime and its package from functionAppConfig and refuses the settings for them.
  flex: {}
  premium: {
    FUNCTIONS_EXTENSION_VERSION: '~4'
    FUNCTIONS_WORKER_RUNTIME: 'custom'
    // The package is read with the identity: the address carries no signature that could leak or run out
    // (learn.microsoft.com/azure/azure-functions/run-functions-from-deployment-package).
    WEBSITE_RUN_FROM_PACKAGE: '${packageUrl}/fhirferry.zip'
    WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: identityId
  }
  dedicated: {
    FUNCTIONS_EXTENSION_VERSION: '~4'
    FUNCTIONS_WORKER_RUNTIME: 'custom'
    WEBSITE_RUN_FROM_PACKAGE: '1'
  }
}

var filled = toObject(filter(items(settings), entry => !empty(entry.value)), entry => entry.key, entry => entry.value)

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: union(filled, settingsOfPlan[plan], {
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  })
}

resource deployment 'Microsoft.Web/sites/extensions@2024-04-01' = if (flex && !empty(packageUri)) {
  parent: site
  name: 'onedeploy'
  // The types of this resource do not know packageUri, the service does.
  #disable-next-line BCP187 BCP037
  properties: {
    packageUri: packageUri
    remoteBuild: false
  }
  dependsOn: [
    appSettings
  ]
}

output name string = site.name
output url string = 'https://${site.properties.defaultHostName}/api/migration'
