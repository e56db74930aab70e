package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const apiPage = "../../../docs/api.md"

// TestAPIPage keeps docs/api.md equal to openapi.json. With UPDATE_API=1 it is written anew.
func TestAPIPage(t *testing.T) {
	want := writePage(openapiDocument())
	if os.Getenv("UPDATE_API") != "" {
		if err := os.WriteFile(apiPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(apiPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/api.md is not what openapi.json says; run: make api (-want +got):\n%s", diff)
	}
}

// page is a text of Markdown in the making.
type page struct {
	strings.Builder
	document *node
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func writePage(document *node) string {
	p := &page{document: document}
	p.line("# The HTTP API\n")
	p.line("<!-- Written from handler/internal/server/openapi.json by `make api`; mend that file. -->\n")
	p.line("The same as a file for tools, in OpenAPI 3.1: `GET /api/migration/openapi.json`, or "+
		"[openapi.json](../handler/internal/server/openapi.json).\n\n%s\n", document.text("info", "description"))
	p.line("The examples below are for a shell with\n\n```\nbase=https://<app>.azurewebsites.net/api/migration\nkey=\"x-functions-key: <key>\"\n```\n")
	p.line("## Calls\n\n| Call | Does | Key of |\n|---|---|---|")
	for _, o := range operations(document) {
		p.line("| [`%s`](#%s) | %s | `%s` |", o.route(), anchor(o.route()), o.text("summary"), strings.Join(o.texts("tags"), ", "))
	}
	for _, o := range operations(document) {
		p.call(o)
	}
	p.errors()
	p.line("\n## Shapes")
	for _, name := range document.names("components", "schemas") {
		p.shape(name, document.at("components", "schemas", name))
	}
	return p.String()
}

// call writes one call: what it does, takes and answers.
func (p *page) call(o operationOf) {
	p.line("\n### %s\n\n%s. %s\n", o.route(), o.text("summary"), o.text("description"))
	if o.at("parameters") != nil {
		p.line("| Parameter | In | Form | Meaning |\n|---|---|---|---|")
		for _, parameter := range o.at("parameters").list() {
			p.line("| `%s` | %s | %s | %s |", parameter.text("name"), parameter.text("in"), p.form(parameter.at("schema")), cell(parameter.text("description")))
		}
		p.line("")
	}
	body := o.at("requestBody", "content", "application/json")
	if body != nil {
		p.line("Body: [%s](#%s). %s\n", body.at("schema").component(), anchor(body.at("schema").component()), o.text("requestBody", "description"))
	}
	p.line("```")
	if body == nil {
		p.line("%s", curl(o, ""))
	}
	for _, name := range body.names("examples") {
		example := body.at("examples", name)
		p.line("%s%s", curl(o, example.at("value").compact()), comment(example.text("summary")))
	}
	p.line("```\n")
	p.line("Answers\n")
	var errors []string
	for _, status := range o.names("responses") {
		answer := o.at("responses", status)
		if !strings.HasPrefix(status, "2") {
			errors = append(errors, status)
			continue
		}
		p.line("- %s, %s: %s", status, p.form(answer.at("content", "application/json", "schema")), answer.text("description"))
		for _, name := range answer.names("headers") {
			p.line("- header `%s`: %s", name, answer.text("headers", name, "description"))
		}
	}
	p.line("- [errors](#errors): %s", strings.Join(errors, ", "))
	for _, status := range o.names("responses") {
		examples := o.at("responses", status, "content", "application/json", "examples")
		for _, name := range examples.names() {
			value := examples.at(name, "value")
			if len(value.keys) > 1 { // one field is only a beginning
				p.line("\n<details><summary>Example: %s</summary>\n\n```json\n%s\n```\n\n</details>", name, value.indented())
			}
		}
	}
}

func comment(text string) string {
	if text == "" {
		return ""
	}
	return "   # " + text
}

// curl is the call in a shell, with the examples of its parameters.
func curl(o operationOf, body string) string {
	place, query := o.path, ""
	for _, parameter := range o.at("parameters").list() {
		value := fmt.Sprint(parameter.at("example").value)
		switch {
		case parameter.text("in") == "path":
			place = strings.ReplaceAll(place, "{"+parameter.text("name")+"}", value)
		case parameter.text("name") != "after":
			query += "&" + parameter.text("name") + "=" + value
		}
	}
	if query != "" {
		place += "?" + query[1:]
	}
	said := `curl -H "$key" `
	if o.method != "GET" {
		said += "-X " + o.method + " "
	}
	if body != "" {
		said += `-H "Content-Type: application/json" -d '` + body + `' `
	}
	return said + `"$base` + strings.TrimPrefix(place, "/api/migration") + `"`
}

// errors writes the answers that calls have in common.
func (p *page) errors() {
	p.line("\n## Errors\n\nThe body of each but 401 is a [Problem](#problem).\n\n| Status | Means |\n|---|---|")
	common := map[string][]string{}
	for _, o := range operations(p.document) {
		for _, status := range o.names("responses") {
			name := path.Base(o.text("responses", status, "$ref"))
			if name != "." && !slices.Contains(common[name], status) {
				common[name] = append(common[name], status)
			}
		}
	}
	for _, name := range p.document.names("components", "responses") {
		p.line("| %s | %s |", strings.Join(common[name], ", "), cell(p.document.text("components", "responses", name, "description")))
	}
}

func (p *page) shape(name string, schema *node) {
	p.line("\n### %s\n\n%s", name, schema.text("description"))
	if schema.at("properties") == nil {
		return
	}
	p.line("\n| Field | Form | Meaning |\n|---|---|---|")
	for _, field := range schema.names("properties") {
		property := schema.at("properties", field)
		p.line("| `%s` | %s | %s |", field, p.form(property), cell(property.text("description")))
	}
}

// form says in short what a schema takes.
func (p *page) form(schema *node) string {
	if name := schema.component(); name != "" {
		return "[" + name + "](#" + anchor(name) + ")"
	}
	if ways := schema.at("anyOf").list(); len(ways) > 0 {
		var forms []string
		for _, way := range ways {
			forms = append(forms, p.form(way))
		}
		return strings.Join(forms, " or ")
	}
	if words := schema.texts("enum"); len(words) > 0 {
		return "`" + strings.Join(words, "`, `") + "`"
	}
	kinds := schema.texts("type")
	if kinds == nil {
		kinds = []string{schema.text("type")}
	}
	for i, kind := range kinds {
		switch {
		case kind == "array":
			kinds[i] = "list of " + p.form(schema.at("items"))
		case schema.text("format") == "date-time" && kind == "string":
			kinds[i] = "instant"
		case kind == "string":
			kinds[i] = "text"
		case kind == "integer":
			kinds[i] = "whole number" + bounds(schema)
		}
	}
	return strings.Join(kinds, " or ")
}

// bounds tells those that are more than "not below 0".
func bounds(schema *node) string {
	least, most, usual := schema.at("minimum"), schema.at("maximum"), schema.at("default")
	said := ""
	if most != nil {
		said = fmt.Sprintf(" from %v to %v", least.value, most.value)
	} else if least != nil && fmt.Sprint(least.value) != "0" {
		said = fmt.Sprintf(" from %v", least.value)
	}
	if usual != nil {
		said += fmt.Sprintf(", else %v", usual.value)
	}
	return said
}

// cell keeps a text within a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n\n", " ", "\n", " ").Replace(text)
}

// anchor is what a heading is linked by: lower case, blanks as hyphens, without signs.
func anchor(heading string) string {
	return strings.NewReplacer(" ", "-", "/", "", "{", "", "}", "", ".", "").Replace(strings.ToLower(heading))
}

func (n *node) compact() string {
	var buf bytes.Buffer
	n.write(&buf)
	return buf.String()
}

func (n *node) indented() string {
	var buf bytes.Buffer
	if err := json.Indent(&buf, []byte(n.compact()), "", "  "); err != nil {
		panic(err)
	}
	return buf.String()
}

// write is the node as JSON, with its fields in their order.
func (n *node) write(buf *bytes.Buffer) {
	switch {
	case n.fields != nil:
		buf.WriteByte('{')
		for i, k := range n.keys {
			if i > 0 {
				buf.WriteByte(',')
			}
			fmt.Fprintf(buf, "%q:", k)
			n.fields[k].write(buf)
		}
		buf.WriteByte('}')
	case n.items != nil:
		buf.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				buf.WriteByte(',')
			}
			item.write(buf)
		}
		buf.WriteByte(']')
	default:
		raw, err := json.Marshal(n.value)
		if err != nil {
			panic(err)
		}
		buf.Write(raw)
	}
}

// TestAnchors: a link of the page leads to one of its headings.
func TestAnchors(t *testing.T) {
	text := writePage(openapiDocument())
	headings := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ") {
			headings[anchor(strings.TrimSpace(strings.TrimLeft(line, "#")))] = true
		}
	}
	links := strings.Split(text, "](#")
	for _, rest := range links[1:] {
		link, _, _ := strings.Cut(rest, ")")
		if !headings[link] {
			t.Errorf("the link #%s leads nowhere", link)
		}
	}
	if len(links) < 50 {
		t.Errorf("got %d links, want those of every call and shape", len(links))
	}
}
