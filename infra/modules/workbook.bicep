// The workbook: where the migration stands, seen in Application Insights. Its queries are files, so that tests can read
// them; the names in them are those of docs/telemetry.md.

@description('name that the portal shows')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('resource id of the Application Insights component')
param insightsId string

var parts = [
  {
    title: 'Runs'
    query: loadTextContent('../watch/state.kql')
    visualization: 'table'
  }
  {
    title: 'Progress'
    query: loadTextContent('../watch/progress.kql')
    visualization: 'timechart'
  }
  {
    title: 'Chunks by state'
    query: loadTextContent('../watch/chunks.kql')
    visualization: 'table'
  }
  {
    title: 'Lag in hours'
    query: loadTextContent('../watch/lag.kql')
    visualization: 'timechart'
  }
  {
    title: 'Resources per hour'
    query: loadTextContent('../watch/throughput.kql')
    visualization: 'timechart'
  }
  {
    title: 'Failures by cause'
    query: loadTextContent('../watch/failures.kql')
    visualization: 'table'
  }
  {
    title: 'Problems'
    query: loadTextContent('../watch/problems.kql')
    visualization: 'table'
  }
  {
    title: 'Rejected lines by class'
    query: loadTextContent('../watch/rejects.kql')
    visualization: 'table'
  }
  {
    title: 'Throttling'
    query: loadTextContent('../watch/throttling.kql')
    visualization: 'timechart'
  }
  {
    title: 'Duration of jobs in minutes'
    query: loadTextContent('../watch/durations.kql')
    visualization: 'table'
  }
  {
    title: 'Cost drivers'
    query: loadTextContent('../watch/cost.kql')
    visualization: 'table'
  }
]

var hour = 3600000

var time = {
  type: 9
  name: 'time'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    parameters: [
      {
        id: guid(insightsId, 'TimeRange')
        version: 'KqlParameterItem/1.0'
        name: 'TimeRange'
        label: 'Time'
        type: 4
        isRequired: true
        value: {
          durationMs: 24 * hour
        }
        typeSettings: {
          allowCustom: true
          selectableValues: map([1, 4, 12, 24, 72, 168, 720], hours => {
            durationMs: hours * hour
          })
        }
      }
    ]
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insightsId, 'fhirferry')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: name
    category: 'workbook'
    sourceId: insightsId
    serializedData: string({
      version: 'Notebook/1.0'
      fallbackResourceIds: [
        insightsId
      ]
      items: concat([
        time
      ], map(parts, part => {
        type: 3
        name: part.title
        content: {
          version: 'KqlItem/1.0'
          title: part.title
          query: part.query
          visualization: part.visualization
          size: 0
          queryType: 0
          resourceType: 'microsoft.insights/components'
          timeContextFromParameter: 'TimeRange'
        }
      }))
    })
  }
}
