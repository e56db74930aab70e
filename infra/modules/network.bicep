// The virtual network, unless there is one already, and the private DNS zones that lead to the endpoints in it.

@description('name of the network that is made')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('address range of the network that is made')
param addressPrefix string

@description('what the subnet of the app is delegated to')
param delegation string

@description('resource id of an existing subnet for the app; empty: a network is made')
param integrationSubnetId string

@description('resource id of an existing subnet for the endpoints')
param endpointSubnetId string

@description('names of the private DNS zones to make and link')
param zones array

// The subnets have no underscore in their names and the app's holds nothing else: Flex Consumption refuses both
// (learn.microsoft.com/azure/azure-functions/flex-consumption-how-to, "Enable virtual network integration").
resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = if (empty(integrationSubnetId)) {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          delegations: [
            {
              name: 'app'
              properties: {
                serviceName: delegation
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

var networkId = empty(integrationSubnetId) ? network.id : join(take(split(integrationSubnetId, '/'), 9), '/')

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zoneName in zones: {
  name: zoneName
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zoneName, i) in zones: {
  parent: zone[i]
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}]

output integrationSubnetId string = empty(integrationSubnetId) ? '${network.id}/subnets/app' : integrationSubnetId
output endpointSubnetId string = empty(integrationSubnetId) ? '${network.id}/subnets/endpoints' : endpointSubnetId
