package adopt

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// ours is the source of the plugin in required_plugins.
const ours = "github.com/packer-plugin-sysprep/sysprep"

// hclReader reads a template in HCL2.
type hclReader struct {
	text []byte
	t    *template
}

func readHCL(name string, text []byte) (*template, error) {
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	r := &hclReader{text, &template{plugins: -1, hasPlugin: Names(text), values: map[string]attr{}}}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return r.t, nil
	}
	for _, b := range body.Blocks {
		switch {
		case b.Type == "source" && len(b.Labels) == 2:
			r.t.builders = append(r.t.builders, r.block(b, b.Labels[0], strings.Join(b.Labels, ".")))
		case b.Type == "packer":
			for _, p := range b.Body.Blocks {
				if p.Type == "required_plugins" {
					r.t.plugins = p.CloseBraceRange.Start.Byte
				}
			}
		case b.Type == "build":
			r.build(b)
		default:
			r.values(b)
		}
	}
	// Of a source in another file its name says the kind.
	for _, one := range r.t.builds {
		for _, name := range one.builders {
			if !slices.ContainsFunc(r.t.builders, func(b block) bool { return b.name == name }) {
				kind, _, _ := strings.Cut(name, ".")
				r.t.builders = append(r.t.builders, block{kind: kind, name: name})
			}
		}
	}
	return r.t, nil
}

// values are the defaults of variables, and locals, of a block that has some.
func (r *hclReader) values(b *hclsyntax.Block) {
	switch {
	case b.Type == "variable" && len(b.Labels) == 1 && b.Body.Attributes["default"] != nil:
		r.value("var."+b.Labels[0], b.Body.Attributes["default"])
	case b.Type == "variables":
		for name, a := range b.Body.Attributes {
			r.value("var."+name, a)
		}
	case b.Type == "locals":
		for name, a := range b.Body.Attributes {
			r.value("local."+name, a)
		}
	}
}

// value keeps what stands behind a name, and behind those of the texts in a map.
func (r *hclReader) value(name string, a *hclsyntax.Attribute) {
	r.t.values["${"+name+"}"] = r.attr(a)
	object, ok := a.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return
	}
	for _, item := range object.Items {
		key := strings.Trim(string(r.text[item.KeyExpr.Range().Start.Byte:item.KeyExpr.Range().End.Byte]), `"`)
		e, known := r.elem(item.ValueExpr)
		r.t.values["${"+name+"."+key+"}"] = attr{span: e.span, line: e.line, elems: []elem{e}, computed: !known}
	}
}

func (r *hclReader) build(b *hclsyntax.Block) {
	one := build{end: b.CloseBraceRange.Start.Byte, indent: indentAt(r.text, b.Range().Start.Byte) + "  "}
	if a := b.Body.Attributes["sources"]; a != nil {
		for _, e := range r.attr(a).elems {
			one.builders = append(one.builders, sourceName(e.text))
		}
	}
	for _, p := range b.Body.Blocks {
		switch {
		case p.Type == "source" && len(p.Labels) == 1:
			name := sourceName(p.Labels[0])
			one.builders = append(one.builders, name)
			kind, _, _ := strings.Cut(name, ".")
			r.t.builders = append(r.t.builders, r.block(p, kind, name))
		case p.Type == "provisioner" && len(p.Labels) == 1:
			step := r.block(p, p.Labels[0], "")
			r.t.steps = append(r.t.steps, step)
		}
	}
	r.t.builds = append(r.t.builds, one)
}

// sourceName is a source as only takes it: sources may also be given without quotes.
func sourceName(text string) string {
	return strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(text, "${"), "}"), "source.")
}

func (r *hclReader) block(b *hclsyntax.Block, kind, name string) block {
	whole := span{b.Range().Start.Byte, b.CloseBraceRange.End.Byte}
	out := block{span: whole, line: b.Range().Start.Line, kind: kind, name: name, indent: indentAt(r.text, whole.from), attrs: map[string]attr{}}
	for n, a := range b.Body.Attributes {
		out.attrs[n] = r.attr(a)
	}
	return out
}

func (r *hclReader) attr(a *hclsyntax.Attribute) attr {
	out := attr{span: of(a.Expr.Range()), line: a.SrcRange.Start.Line}
	list, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		e, known := r.elem(a.Expr)
		out.elems, out.computed = []elem{e}, !known
		return out
	}
	out.list = true
	for _, x := range list.Exprs {
		e, known := r.elem(x)
		out.elems = append(out.elems, e)
		out.computed = out.computed || !known
	}
	return out
}

func of(r hcl.Range) span { return span{r.Start.Byte, r.End.Byte} }

// elem is an expression as a text. One that is none of a text is there as ${...}.
func (r *hclReader) elem(x hclsyntax.Expression) (e elem, known bool) {
	e = elem{span: of(x.Range()), line: x.Range().Start.Line}
	if wrap, ok := x.(*hclsyntax.TemplateWrapExpr); ok { // "${one.expression}"
		in := of(wrap.Wrapped.Range())
		e.text = "${" + string(r.text[in.from:in.to]) + "}"
		return e, true
	}
	t, ok := x.(*hclsyntax.TemplateExpr)
	if !ok {
		e.text = "${" + string(r.text[e.from:e.to]) + "}"
		return e, false
	}
	if strings.HasPrefix(string(r.text[e.from:e.to]), "<<") {
		e.line++ // the text of a heredoc begins below its mark
	}
	var b strings.Builder
	for _, part := range t.Parts {
		l, ok := part.(*hclsyntax.LiteralValueExpr)
		if ok && l.Val.Type() == cty.String && l.Val.IsKnown() && !l.Val.IsNull() {
			b.WriteString(l.Val.AsString())
			continue
		}
		b.WriteString("${" + string(r.text[part.Range().Start.Byte:part.Range().End.Byte]) + "}")
	}
	e.text = b.String()
	return e, true
}
