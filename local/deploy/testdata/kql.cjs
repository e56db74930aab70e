// Reads {"name": "query", ...} and prints [{"name", "text"}] for each thing that Kusto's own parser and binder find
// wrong. The tables are those of Application Insights, with the columns that queries may use
// (learn.microsoft.com/azure/azure-monitor/reference/tables).
const modules = process.argv[2] + '/@kusto/language-service-next/'
require(modules + 'bridge.min')
require(modules + 'Kusto.Language.Bridge.min')

const shared = 'timestamp:datetime, operation_Id:string, operation_Name:string, cloud_RoleName:string, cloud_RoleInstance:string, application_Version:string, customDimensions:dynamic'
const tables = {
  customEvents: shared + ', name:string, customMeasurements:dynamic',
  customMetrics: shared + ', name:string, value:real',
  dependencies: shared + ', name:string, type:string, target:string, resultCode:string, success:bool, duration:real',
  exceptions: shared + ', type:string, outerMessage:string',
  requests: shared + ', name:string, resultCode:string, success:bool, duration:real',
  traces: shared + ', message:string, severityLevel:int',
}
const prelude = Object.entries(tables).map(([name, columns]) => `let ${name} = datatable(${columns})[];\n`).join('')

const queries = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const faults = []
for (const [name, query] of Object.entries(queries)) {
  const found = Kusto.Language.KustoCode.ParseAndAnalyze(prelude + query, Kusto.Language.GlobalState.Default).GetDiagnostics()
  for (let i = 0; i < found.Count; i++) {
    const fault = found.getItem(i)
    faults.push({ name, text: fault.Severity + ': ' + fault.Message + ' at ' + JSON.stringify((prelude + query).substr(fault.Start, 40)) })
  }
}
process.stdout.write(JSON.stringify(faults))
