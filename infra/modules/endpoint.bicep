// One private endpoint, and its entry in the private DNS zones that are given.

@description('name of the endpoint')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('resource id of the subnet')
param subnetId string

@description('resource id of what the endpoint leads to')
param targetId string

@description('part of the target: blob, queue, table, fhir (Azure API for FHIR), healthcareworkspace (Azure Health Data Services)')
param group string

@description('names of the private DNS zones of this group; empty: somebody else keeps the names')
param zones array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            group
          ]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = if (!empty(zones)) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for zone in zones: {
      name: replace(zone, '.', '-')
      properties: {
        privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zone)
      }
    }]
  }
}
