// The alert rules: when a person is needed. docs/operate.md tells what to do about each. A rule fires when its
// query finds a row, and resolves itself when it finds none.

@description('first part of the rules\' names')
param name string

@description('region')
param location string

@description('tags')
param tags object

@description('resource id of the Application Insights component')
param insightsId string

@description('addresses to write to')
param emails array

@description('resource id of an existing action group to call too; empty: none')
param actionGroupId string

@description('hours without progress before somebody is told')
param noProgressHours int

@description('rejected lines above which somebody is told')
param rejectsAbove int

@description('hours of lag above which somebody is told; 0: nobody is')
param lagAboveHours int

@description('starts of the handler on one instance within an hour above which somebody is told')
param restartsAbove int

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: '${name}-operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'fhirferry'
    enabled: true
    emailReceivers: map(emails, email => {
      name: email
      emailAddress: email
      useCommonAlertSchema: true
    })
  }
}

// Windows and frequencies are of the sizes that log alerts allow. Two days are the longest that one can look back.
var rules = [
  {
    name: 'halted'
    title: 'Halted: chunks have failed, and nothing is started until an operator retries'
    severity: 1
    query: loadTextContent('../watch/halted.kql')
    window: 'PT15M'
    every: 'PT5M'
    range: ''
  }
  {
    name: 'no-progress'
    title: 'No progress for ${noProgressHours} hours'
    severity: 1
    query: replace(loadTextContent('../watch/progress-alert.kql'), '{hours}', string(noProgressHours))
    window: 'P1D'
    every: 'PT30M'
    range: 'P2D'
  }
  {
    name: 'rejects'
    title: 'More than ${rejectsAbove} lines were rejected by the destination'
    severity: 2
    query: replace(loadTextContent('../watch/rejects-alert.kql'), '{count}', string(rejectsAbove))
    window: 'PT1H'
    every: 'PT15M'
    range: ''
  }
  {
    name: 'lag'
    title: 'More than ${lagAboveHours} hours behind the source'
    severity: 2
    query: replace(loadTextContent('../watch/lag-alert.kql'), '{hours}', string(lagAboveHours))
    window: 'PT15M'
    every: 'PT15M'
    range: ''
  }
  {
    name: 'restarts'
    title: 'The handler started more than ${restartsAbove} times on one instance within an hour'
    severity: 2
    query: replace(loadTextContent('../watch/restarts-alert.kql'), '{count}', string(restartsAbove))
    window: 'PT1H'
    every: 'PT15M'
    range: ''
  }
  {
    name: 'poison'
    title: 'Messages failed five times and went to the poison queue'
    severity: 2
    query: loadTextContent('../watch/poison-alert.kql')
    window: 'PT15M'
    every: 'PT15M'
    range: ''
  }
]

var wanted = filter(rules, rule => rule.name != 'lag' || lagAboveHours > 0)

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in wanted: {
  name: '${name}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'fhirferry: ${rule.name}'
    description: rule.title
    severity: rule.severity
    enabled: true
    scopes: [
      insightsId
    ]
    windowSize: rule.window
    evaluationFrequency: rule.every
    overrideQueryTimeRange: empty(rule.range) ? null : rule.range
    autoMitigate: true
    // A new component has no rows yet, which is no fault of the query.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: concat(empty(emails) ? [] : [
        group.id
      ], empty(actionGroupId) ? [] : [
        actionGroupId
      ])
    }
  }
}]
