package deploy

import (
	"slices"
	"strings"
	"testing"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// functions are those of Bicep that infra/ may call, with the fewest and the most arguments they take. A compiler would
// know them; none is to be had here.
func functions() map[string][2]int {
	return map[string][2]int{
		"description": {1, 1}, "secure": {0, 0}, "allowed": {1, 1}, "minValue": {1, 1}, "maxValue": {1, 1}, "minLength": {1, 1}, "maxLength": {1, 1},
		"resourceGroup": {0, 2}, "subscription": {0, 1}, "tenant": {0, 0}, "environment": {0, 0}, "uniqueString": {1, 9}, "guid": {1, 9},
		"resourceId": {2, 9}, "subscriptionResourceId": {2, 9}, "loadJsonContent": {1, 1}, "loadTextContent": {1, 1}, "cidrSubnet": {3, 3},
		"empty": {1, 1}, "length": {1, 1}, "last": {1, 1}, "take": {2, 2}, "contains": {2, 2}, "union": {2, 9}, "concat": {1, 9}, "range": {2, 2},
		"items": {1, 1}, "toObject": {2, 3}, "filter": {2, 2}, "map": {2, 2}, "reduce": {3, 3}, "split": {2, 2}, "join": {2, 2},
		"replace": {3, 3}, "substring": {2, 3}, "indexOf": {2, 2}, "trim": {1, 1}, "string": {1, 1}, "min": {1, 9}, "max": {1, 9},
		"readEnvironmentVariable": {1, 2},
	}
}

// names are what a file declares at its top, and inside its resources.
func (f *file) names() []string {
	var all []string
	visit(f.tree.RootNode(), func(n *sitter.Node) bool {
		switch n.Kind() {
		case "parameter_declaration", "variable_declaration", "resource_declaration", "module_declaration":
			all = append(all, f.of(n.NamedChild(0)))
		}
		return true
	})
	return all
}

// strangers are the names that one declaration uses and nothing declares. Variables of its loops and lambdas hold for
// all of it, which is wider than in Bicep.
func (f *file) strangers(declaration *sitter.Node, known []string) []string {
	var local, used []string
	visit(declaration, func(n *sitter.Node) bool {
		switch n.Kind() {
		case "loop_variable", "loop_enumerator":
			local = append(local, f.of(n))
		case "for_statement":
			if one := n.ChildByFieldName("initializer"); one != nil {
				local = append(local, f.of(one))
			}
		case "lambda_expression":
			visit(n.NamedChild(0), func(v *sitter.Node) bool {
				if v.Kind() == "identifier" {
					local = append(local, f.of(v))
				}
				return true
			})
		case "identifier":
			if f.isUse(n) {
				used = append(used, f.of(n))
			}
		}
		return true
	})
	var strange []string
	for _, name := range used {
		if !slices.Contains(local, name) && !slices.Contains(known, name) {
			strange = append(strange, name)
		}
	}
	return strange
}

// isUse tells a name that stands for a value from one that declares, a key, a type or a function.
func (f *file) isUse(n *sitter.Node) bool {
	parent := n.Parent()
	first := parent.NamedChild(0) != nil && parent.NamedChild(0).StartByte() == n.StartByte()
	switch kind := parent.Kind(); {
	case first && (kind == "object_property" || strings.HasSuffix(kind, "_declaration")):
		return false
	case kind == "type", kind == "compatible_identifier":
		return false
	case kind == "call_expression" && first:
		return false
	case kind == "resource_expression" && !first:
		return false // a resource inside another; its own declaration is among the names
	}
	return true
}

// Every name that a file uses is one that it declares, or a function that takes as many arguments as it gets; and
// everything that is declared is used.
func TestNamesAreDeclaredAndUsed(t *testing.T) {
	for _, f := range bicepFiles(t) {
		known, top := f.names(), f.tree.RootNode()
		for i := range top.NamedChildCount() {
			for _, name := range f.strangers(top.NamedChild(i), known) {
				t.Errorf("%s: %s is used and not declared", f.path, name)
			}
		}
		uses := map[string]int{}
		visit(top, func(n *sitter.Node) bool {
			if n.Kind() == "call_expression" {
				f.checkCall(t, n)
			}
			if n.Kind() == "identifier" && (f.isUse(n) || n.Parent().Kind() == "resource_expression") {
				uses[f.of(n)]++
			}
			return true
		})
		for name := range f.params {
			if uses[name] == 0 {
				t.Errorf("%s: parameter %s is not used", f.path, name)
			}
		}
		for name := range f.variables {
			if uses[name] == 0 {
				t.Errorf("%s: variable %s is not used", f.path, name)
			}
		}
	}
}

func (f *file) checkCall(t *testing.T, n *sitter.Node) {
	t.Helper()
	function := n.ChildByFieldName("function")
	if function.Kind() != "identifier" {
		return
	}
	name := f.of(function)
	bounds, known := functions()[name]
	if !known {
		t.Errorf("%s: function %s is not among those that the test knows", f.path, name)
		return
	}
	if given := int(n.ChildByFieldName("arguments").NamedChildCount()); given < bounds[0] || given > bounds[1] {
		t.Errorf("%s: %s has %d arguments, want %d to %d", f.path, name, given, bounds[0], bounds[1])
	}
}

// Each module is given what it needs and nothing that it does not know; a secret goes only where it is kept secret;
// outputs that are read exist.
func TestModulesFitTheirCallers(t *testing.T) {
	files := bicepFiles(t)
	called := map[string]bool{}
	for _, f := range files {
		for _, c := range f.modules {
			m := files[c.path]
			if m == nil {
				t.Errorf("%s: module %s: there is no %s", f.path, c.name, c.path)
				continue
			}
			called[c.path] = true
			for name, p := range m.params {
				if _, given := c.arguments[name]; !given && p.value == "" {
					t.Errorf("%s: module %s is not given %s", f.path, c.name, name)
				}
			}
			for name, value := range c.arguments {
				p, known := m.params[name]
				if !known {
					t.Errorf("%s: module %s knows no parameter %s", f.path, c.name, name)
				}
				for secret := range secretsOf(f) {
					if mentions(value, secret) && !p.secure {
						t.Errorf("%s: module %s gets the secret %s in %s, which is not secure", f.path, c.name, secret, name)
					}
				}
			}
			for _, after := range strings.Split(f.text, c.name+".outputs.")[1:] {
				if name := leading(after); m.outputs[name] == "" {
					t.Errorf("%s: module %s has no output %s", f.path, c.name, name)
				}
			}
		}
	}
	for name := range files {
		if name != "infra/main.bicep" && !called[name] {
			t.Errorf("%s is not used", name)
		}
	}
}

// secretsOf are the secure parameters and the variables made of them.
func secretsOf(f *file) map[string]bool {
	secrets := map[string]bool{}
	for name, p := range f.params {
		if p.secure {
			secrets[name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for name, value := range f.variables {
			for secret := range secrets {
				if !secrets[name] && mentions(value, secret) {
					secrets[name], grown = true, true
				}
			}
		}
	}
	return secrets
}

// mentions reports whether a text holds a name as a word outside of keys.
func mentions(text, name string) bool {
	for rest := text; ; {
		before, after, found := strings.Cut(rest, name)
		if !found {
			return false
		}
		starts := before == "" || !isWord(before[len(before)-1]) && !strings.HasSuffix(before, ".")
		ends := after == "" || !isWord(after[0]) && after[0] != ':'
		if starts && ends {
			return true
		}
		rest = after
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// leading is the name that a text begins with.
func leading(text string) string {
	end := 0
	for end < len(text) && isWord(text[end]) {
		end++
	}
	return text[:end]
}

func TestSecretsAreNeverOutputs(t *testing.T) {
	count := 0
	for _, f := range bicepFiles(t) {
		for secret := range secretsOf(f) {
			count++
			for name, value := range f.outputs {
				if mentions(value, secret) {
					t.Errorf("%s: output %s shows the secret %s", f.path, name, secret)
				}
			}
		}
		for name, value := range f.outputs {
			if strings.Contains(value, "listKeys") || strings.Contains(value, "ConnectionString") {
				t.Errorf("%s: output %s shows a key: %s", f.path, name, value)
			}
		}
	}
	if count < 4 {
		t.Errorf("got %d secrets, want the client secret, the connection string and what is made of them", count)
	}
}

// Every parameter that a person sees says what it means.
func TestParametersAreDescribed(t *testing.T) {
	for _, f := range bicepFiles(t) {
		for name, p := range f.params {
			if len(p.description) < 4 {
				t.Errorf("%s: parameter %s has no description", f.path, name)
			}
		}
	}
}
