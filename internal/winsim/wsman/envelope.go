package wsman

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Namespaces (MS-WSMV 2.2.1).
const (
	nsSOAP     = "http://www.w3.org/2003/05/soap-envelope"
	nsAddress  = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsTransfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	nsWSMan    = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	nsMSWSMan  = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
	nsIdentity = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
	nsShell    = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsXML      = "http://www.w3.org/XML/1998/namespace"

	anonymous = nsAddress + "/role/anonymous"
	cmdShell  = nsShell + "/cmd"
)

// node is an XML element: foreign documents are read into a tree first and
// judged afterwards, so that nothing unexpected can be overlooked.
type node struct {
	name  xml.Name
	attrs map[xml.Name]string
	text  string
	kids  []*node
}

const maxDepth = 16

// parseXML reads a document. SOAP forbids document type declarations and
// processing instructions (SOAP 1.2 part 1, section 5).
func parseXML(raw []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	var root *node
	var open []*node
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			n := &node{name: t.Name, attrs: map[xml.Name]string{}}
			for _, a := range t.Attr {
				if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
					continue
				}
				if _, twice := n.attrs[a.Name]; twice {
					return nil, fmt.Errorf("attribute %s twice in %s", a.Name.Local, t.Name.Local)
				}
				n.attrs[a.Name] = a.Value
			}
			switch {
			case len(open) > 0:
				up := open[len(open)-1]
				up.kids = append(up.kids, n)
			case root != nil:
				return nil, errors.New("a second root element")
			default:
				root = n
			}
			if open = append(open, n); len(open) > maxDepth {
				return nil, errors.New("elements nested too deeply")
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(t)
			} else if len(bytes.TrimSpace(t)) > 0 && !bytes.Equal(t, []byte("\ufeff")) {
				return nil, errors.New("text outside the root element")
			}
		case xml.Directive:
			return nil, errors.New("document type declaration")
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, errors.New("processing instruction")
			}
		}
	}
	if root == nil {
		return nil, errors.New("no root element")
	}
	return root, nil
}

// check refuses children, attributes and text the element must not have. kids
// maps allowed children to how often they may occur, 0 meaning any number.
func (n *node) check(kids map[xml.Name]int, attrs ...xml.Name) error {
	seen := map[xml.Name]int{}
	for _, k := range n.kids {
		limit, known := kids[k.name]
		if seen[k.name]++; !known {
			return fmt.Errorf("unexpected element %s in %s", k.name.Local, n.name.Local)
		} else if limit > 0 && seen[k.name] > limit {
			return fmt.Errorf("element %s more than once in %s", k.name.Local, n.name.Local)
		}
	}
	if len(kids) > 0 && strings.TrimSpace(n.text) != "" {
		return fmt.Errorf("unexpected text in %s", n.name.Local)
	}
next:
	for a := range n.attrs {
		for _, ok := range attrs {
			if a == ok {
				continue next
			}
		}
		return fmt.Errorf("unexpected attribute %s in %s", a.Local, n.name.Local)
	}
	return nil
}

// child returns the first child of that name, or an empty element.
func (n *node) child(space, local string) *node {
	for _, k := range n.kids {
		if k.name == (xml.Name{Space: space, Local: local}) {
			return k
		}
	}
	return &node{}
}

func (n *node) attr(local string) string { return n.attrs[xml.Name{Local: local}] }

func (n *node) value() string { return strings.TrimSpace(n.text) }

// request is a checked WS-Management request.
type request struct {
	action, messageID, to, resource string
	maxEnvelope                     int           // bytes, 0 when not stated
	timeout                         time.Duration // 0 when not stated
	shell                           string        // selector ShellId
	options                         map[string]string
	body                            *node // the only child of Body, nil when empty
}

// name returns the last part of the action: Create, Command, Receive and so on.
func (r *request) name() string {
	if r.identify() {
		return "Identify"
	}
	return r.action[strings.LastIndex(r.action, "/")+1:]
}

func (r *request) identify() bool {
	return r.body != nil && r.body.name == xml.Name{Space: nsIdentity, Local: "Identify"}
}

// headers are the header blocks the service understands, with the attributes
// they may have besides mustUnderstand.
var headers = map[xml.Name][]xml.Name{
	{Space: nsAddress, Local: "Action"}:         nil,
	{Space: nsAddress, Local: "MessageID"}:      nil,
	{Space: nsAddress, Local: "To"}:             nil,
	{Space: nsAddress, Local: "ReplyTo"}:        nil,
	{Space: nsWSMan, Local: "ResourceURI"}:      nil,
	{Space: nsWSMan, Local: "MaxEnvelopeSize"}:  nil,
	{Space: nsWSMan, Local: "OperationTimeout"}: nil,
	{Space: nsWSMan, Local: "SelectorSet"}:      nil,
	{Space: nsWSMan, Local: "OptionSet"}:        nil,
	{Space: nsWSMan, Local: "Locale"}:           {{Space: nsXML, Local: "lang"}},
	{Space: nsMSWSMan, Local: "DataLocale"}:     {{Space: nsXML, Local: "lang"}},
	{Space: nsMSWSMan, Local: "SessionId"}:      nil,
	{Space: nsMSWSMan, Local: "OperationID"}:    nil,
	{Space: nsMSWSMan, Local: "SequenceId"}:     nil,
	{Space: nsMSWSMan, Local: "ActivityId"}:     nil,
}

// Clients write mustUnderstand with and without the SOAP namespace, and
// Windows takes both.
var understand = []xml.Name{{Space: nsSOAP, Local: "mustUnderstand"}, {Local: "mustUnderstand"}}

// parseRequest reads an envelope. On a fault the request is still there, as
// far as it could be read, for the reply to relate to.
func parseRequest(raw []byte) (*request, *fault) {
	r := &request{options: map[string]string{}}
	env, err := parseXML(raw)
	if err != nil {
		return r, newFault(codeInvalidXML).because("%v", err)
	}
	if env.name.Local == "Envelope" && env.name.Space != nsSOAP {
		return r, newFault(codeSOAPVersion)
	}
	header, body := xml.Name{Space: nsSOAP, Local: "Header"}, xml.Name{Space: nsSOAP, Local: "Body"}
	if env.name.Local != "Envelope" {
		return r, newFault(codeSchema).because("root element %s", env.name.Local)
	}
	if err := env.check(map[xml.Name]int{header: 1, body: 1}, xml.Name{Space: nsXML, Local: "lang"}); err != nil {
		return r, newFault(codeSchema).because("%v", err)
	}
	b := env.child(nsSOAP, "Body")
	if b.name != body || len(b.kids) > 1 || b.value() != "" || len(b.attrs) > 0 {
		return r, newFault(codeInvalidBody)
	}
	if len(b.kids) == 1 {
		r.body = b.kids[0]
	}
	h := env.child(nsSOAP, "Header")
	r.action = h.child(nsAddress, "Action").value()
	r.messageID = h.child(nsAddress, "MessageID").value()
	if f := r.readHeader(h); f != nil || r.identify() {
		return r, f
	}
	reply := h.child(nsAddress, "ReplyTo").child(nsAddress, "Address").value()
	for _, must := range []struct{ name, value string }{{"Action", r.action}, {"MessageID", r.messageID}, {"To", r.to}, {"ResourceURI", r.resource}, {"ReplyTo", reply}} {
		if must.value == "" {
			return r, newFault(codeHeaderRequired).because("no %s", must.name)
		}
	}
	if reply != anonymous {
		return r, newFault(codeInvalidHeader).because("ReplyTo is not the anonymous address")
	}
	return r, nil
}

func (r *request) readHeader(h *node) *fault {
	seen := map[xml.Name]bool{}
	for _, k := range h.kids {
		attrs, known := headers[k.name]
		if !known && (k.attrs[understand[0]] == "true" || k.attrs[understand[1]] == "true") {
			return newFault(codeMustUnderstand).because("header %s", k.name.Local)
		}
		if !known || seen[k.name] {
			return newFault(codeInvalidHeader).because("unexpected header %s", k.name.Local)
		}
		seen[k.name] = true
		if err := k.check(headerKids[k.name.Local], append(attrs, understand...)...); err != nil {
			return newFault(codeInvalidHeader).because("%v", err)
		}
		if f := r.readBlock(k); f != nil {
			return f
		}
	}
	return nil
}

var headerKids = map[string]map[xml.Name]int{
	"ReplyTo":     {{Space: nsAddress, Local: "Address"}: 1},
	"SelectorSet": {{Space: nsWSMan, Local: "Selector"}: 0},
	"OptionSet":   {{Space: nsWSMan, Local: "Option"}: 0},
}

func (r *request) readBlock(k *node) *fault {
	v := k.value()
	switch k.name.Local {
	case "To":
		r.to = v
	case "ResourceURI":
		r.resource = v
	case "MaxEnvelopeSize":
		n, err := strconv.Atoi(v)
		if err != nil || n < minEnvelope { // DSP0226 R6.2-2: at least 8 KiB
			return newFault(codeMinEnvelope)
		}
		r.maxEnvelope = n
	case "OperationTimeout":
		d, err := parseDuration(v)
		if err != nil || d <= 0 {
			return newFault(codeInvalidHeader).because(
				"The WS-Management service cannot process the request. The XML contains an invalid timeout field in the SOAP header: %s. ", v)
		}
		r.timeout = d
	case "ReplyTo":
		if a := k.child(nsAddress, "Address"); a.check(nil, understand...) != nil {
			return newFault(codeInvalidHeader).because("unexpected content in Address")
		}
	case "SelectorSet":
		for _, s := range k.kids {
			if s.check(nil, xml.Name{Local: "Name"}) != nil || s.attr("Name") != "ShellId" || r.shell != "" {
				return newFault(codeSelectors)
			}
			r.shell = strings.ToUpper(s.value())
		}
	case "OptionSet":
		for _, o := range k.kids {
			name := o.attr("Name")
			if _, twice := r.options[name]; twice || o.check(nil, xml.Name{Local: "Name"}, xml.Name{Local: "MustComply"}, xml.Name{Local: "Type"}) != nil {
				return newFault(codeInvalidOptions)
			}
			r.options[name] = o.value()
		}
	}
	return nil
}

const minEnvelope = 8192

// onlyOptions refuses options that are not among the allowed: Windows ignores
// them, but a client that sends them expects something we do not do.
func (r *request) onlyOptions(allowed ...string) *fault {
next:
	for name := range r.options {
		for _, a := range allowed {
			if name == a {
				continue next
			}
		}
		return newFault(codeOptionName).because("option %s", name)
	}
	return nil
}

// boolean returns the value of a boolean option, def when it is absent.
func (r *request) boolean(name string, def bool) (bool, *fault) {
	v, ok := r.options[name]
	switch {
	case !ok:
		return def, nil
	case strings.EqualFold(v, "true"):
		return true, nil
	case strings.EqualFold(v, "false"):
		return false, nil
	}
	return false, newFault(codeOptionValue).because("option %s is %s", name, v)
}

var durationForm = regexp.MustCompile(`^P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$`)

// parseDuration reads an xs:duration without years and months.
func parseDuration(s string) (time.Duration, error) {
	m := durationForm.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "T") || s == "P" {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	var seconds float64
	for i, unit := range []float64{86400, 3600, 60, 1} {
		if m[i+1] != "" {
			n, err := strconv.ParseFloat(m[i+1], 64)
			if err != nil {
				return 0, fmt.Errorf("reading duration: %w", err)
			}
			seconds += n * unit
		}
	}
	const longest = 100 * 365 * 24 * time.Hour
	if seconds > longest.Seconds() {
		return longest, nil
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
