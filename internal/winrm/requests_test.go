package winrm

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"
)

// element is XML read into a tree.
type element struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Kids    []element  `xml:",any"`
	Text    string     `xml:",chardata"`
}

func treeOf(t testing.TB, text string) *element {
	t.Helper()
	e := new(element)
	if err := xml.Unmarshal([]byte(text), e); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return e
}

// kid is the first of that name, an empty element when there is none.
func (e *element) kid(local string) *element {
	for i := range e.Kids {
		if e.Kids[i].XMLName.Local == local {
			return &e.Kids[i]
		}
	}
	return new(element)
}

func (e *element) attr(local string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// outline is an element with all that it means, without the order of attributes.
func (e *element) outline() string {
	var attrs []string
	for _, a := range e.Attrs {
		space := a.Name.Space
		if space == "xmlns" || a.Name.Local == "xmlns" || a.Name.Local == "End" && strings.EqualFold(a.Value, "false") {
			continue
		}
		attrs = append(attrs, fmt.Sprintf("%s %s=%s", space, a.Name.Local, strings.ToLower(a.Value)))
	}
	slices.Sort(attrs)
	text := fmt.Sprintf("{%s}%s%v%s", e.XMLName.Space, e.XMLName.Local, attrs, strings.TrimSpace(e.Text))
	for i := range e.Kids {
		text += "(" + e.Kids[i].outline() + ")"
	}
	return text
}

// alike builds our request for what another client asked. What only its library
// knows (the life and name of a shell) is taken out of theirs.
func alike(t testing.TB, theirs *element) *request {
	t.Helper()
	header, body := theirs.kid("Header"), theirs.kid("Body")
	action := header.kid("Action").Text
	r := &request{name: action[strings.LastIndex(action, "/")+1:], shell: header.kid("SelectorSet").kid("Selector").Text, timeout: time.Minute}
	for _, o := range header.kid("OptionSet").Kids {
		r.options = append(r.options, option{o.attr("Name"), o.Text})
	}
	switch r.name {
	case "Create":
		shell := body.kid("Shell")
		o := ShellOptions{WorkingDirectory: shell.kid("WorkingDirectory").Text}
		if seconds, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(shell.kid("IdleTimeOut").Text, "PT"))); err == nil {
			o.IdleTimeout = seconds
		}
		for _, v := range shell.kid("Environment").Kids {
			if o.Env == nil {
				o.Env = map[string]string{}
			}
			o.Env[v.attr("Name")] = v.Text
		}
		r.body = createBody(o)
		shell.Kids = slices.DeleteFunc(shell.Kids, func(k element) bool { return k.XMLName.Local == "Lifetime" || k.XMLName.Local == "Name" })
	case "Command":
		line := body.kid("CommandLine")
		var args []string
		for _, k := range line.Kids[1:] {
			args = append(args, k.Text)
		}
		r.body = commandBody(line.kid("Command").Text, args)
	case "Send":
		stream := body.kid("Send").kid("Stream")
		data, err := base64.StdEncoding.DecodeString(stream.Text)
		if err != nil {
			t.Fatal(err)
		}
		r.input = &piece{command: stream.attr("CommandId"), data: data, end: strings.EqualFold(stream.attr("End"), "true")}
	case "Receive":
		r.body = receiveBody(body.kid("Receive").kid("DesiredStream").attr("CommandId"))
	case "Signal":
		r.body = terminateBody(body.kid("Signal").attr("CommandId"))
	case "Delete":
	default:
		t.Fatalf("%s is none of our requests", action)
	}
	return r
}

var (
	uuidForm     = regexp.MustCompile(`^uuid:[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	durationForm = regexp.MustCompile(`^PT\d+(\.\d+)?S$`)
)

// compared compares our request with theirs, in what they mean. What we leave
// out is named here; envelope says why.
func compared(t *testing.T, what, theirs string) (name string, ours int) {
	t.Helper()
	left := treeOf(t, theirs)
	r := alike(t, left)
	envelope := string(r.envelope(left.kid("Header").kid("To").Text, 153600))
	mine := treeOf(t, envelope)
	a, b := left.kid("Header"), mine.kid("Header")
	names := func(e *element) map[string]bool {
		all := map[string]bool{}
		for _, k := range e.Kids {
			all[k.XMLName.Local] = true
		}
		return all
	}
	known, sent := names(a), names(b)
	for name := range sent {
		if !known[name] {
			t.Errorf("%s: they do not send %s", what, name)
		}
	}
	for _, name := range []string{"DataLocale", "SessionId"} {
		delete(known, name)
	}
	if !maps.Equal(known, sent) {
		t.Errorf("%s: we send %v, they %v", what, slices.Sorted(maps.Keys(sent)), slices.Sorted(maps.Keys(known)))
	}
	for _, name := range []string{"To", "Action", "ResourceURI", "ReplyTo", "MaxEnvelopeSize", "Locale", "SelectorSet", "OptionSet"} {
		if x, y := plain(a.kid(name)).outline(), plain(b.kid(name)).outline(); x != y {
			t.Errorf("%s:\n   we   %s\n   they %s", what, y, x)
		}
	}
	for e, form := range map[string]*regexp.Regexp{"MessageID": uuidForm, "OperationTimeout": durationForm} {
		if x, y := a.kid(e).Text, b.kid(e).Text; !form.MatchString(x) || !form.MatchString(y) {
			t.Errorf("%s: we write %s, they %s", what, y, x)
		}
	}
	for _, e := range []*element{left, mine} { // the order of these means nothing
		shell := e.kid("Body").kid("Shell")
		slices.SortFunc(shell.Kids, func(a, b element) int { return strings.Compare(a.XMLName.Local, b.XMLName.Local) })
		slices.SortFunc(shell.kid("Environment").Kids, func(a, b element) int { return strings.Compare(a.attr("Name"), b.attr("Name")) })
	}
	x, y := left.kid("Body").outline(), mine.kid("Body").outline()
	if x = strings.Replace(x, "/signal/ctrl_c", "/signal/terminate", 1); x != y { // the only one of theirs, after the end
		t.Errorf("%s:\n   we   %s\n   they %s", what, y, x)
	}
	return r.name, len(envelope)
}

// plain is e without what says nothing here: mustUnderstand, in SOAP's namespace
// or none.
func plain(e *element) *element {
	p := *e
	p.Attrs = slices.DeleteFunc(slices.Clone(e.Attrs), func(a xml.Attr) bool { return a.Name.Local == "mustUnderstand" })
	p.Kids = nil
	for i := range e.Kids {
		p.Kids = append(p.Kids, *plain(&e.Kids[i]))
	}
	return &p
}

// ofMasterzen are the requests of the library in Packer's communicator.
func ofMasterzen() []string {
	p := winrm.NewParameters("PT60S", "en-US", 153600)
	const to, id = "http://192.168.56.11:5985/wsman", "4283CBDC-3706-415B-88BD-B385F3E51A53"
	return []string{
		winrm.NewOpenShellRequest(to, p).String(), winrm.NewExecuteCommandRequest(to, id, "dir", []string{"<&>"}, p).String(),
		winrm.NewSendInputRequest(to, id, id, []byte("x"), false, p).String(), winrm.NewSendInputRequest(to, id, id, nil, true, p).String(),
		winrm.NewGetOutputRequest(to, id, id, "stdout stderr", p).String(), winrm.NewSignalRequest(to, id, id, p).String(), winrm.NewDeleteShellRequest(to, id, p).String(),
	}
}

func TestOurRequestsAreThoseOfMasterzen(t *testing.T) {
	for _, theirs := range ofMasterzen() {
		name, ours := compared(t, "masterzen/winrm", theirs)
		t.Logf("%-8s %4d bytes, masterzen/winrm %4d", name, ours, len(theirs))
		if ours >= len(theirs) {
			t.Errorf("%s is no smaller", name)
		}
	}
}

// TestOurRequestsAreThoseThatWindowsAnswered compares with every recorded request
// to a cmd shell.
func TestOurRequestsAreThoseThatWindowsAnswered(t *testing.T) {
	count, ours, theirs := map[string]int{}, map[string]int{}, map[string]int{}
	for file, all := range recordings(t) {
		if !ofACmdShell(all) {
			continue
		}
		for i, x := range all {
			name, size := compared(t, fmt.Sprintf("%s, request %d", file, i), x.request)
			count[name], ours[name], theirs[name] = count[name]+1, ours[name]+size, theirs[name]+len(x.request)
			if size >= len(x.request) {
				t.Errorf("%s, request %d: it is no smaller: %d bytes, theirs %d", file, i, size, len(x.request))
			}
		}
	}
	if len(count) != 6 {
		t.Errorf("compared %v", count)
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-8s %2d requests, %4d bytes on average, pypsrp %4d", name, count[name], ours[name]/count[name], theirs[name]/count[name])
	}
}

// TestAnEnvelopeIsSmall bounds what a request adds to what it carries.
func TestAnEnvelopeIsSmall(t *testing.T) {
	const id = "4283CBDC-3706-415B-88BD-B385F3E51A53"
	for _, test := range []struct {
		request
		most int
	}{
		{request{name: "Create", body: createBody(ShellOptions{}), options: []option{{"WINRS_NOPROFILE", "FALSE"}, {"WINRS_CODEPAGE", "65001"}}}, 1030},
		{request{name: "Command", shell: id, body: commandBody("", nil), options: []option{{"WINRS_CONSOLEMODE_STDIN", "TRUE"}}}, 1055},
		{request{name: "Send", shell: id, input: &piece{command: id, end: true}}, 1025},
		{request{name: "Receive", shell: id, body: receiveBody(id)}, 1040},
		{request{name: "Signal", shell: id, body: terminateBody(id)}, 1075},
		{request{name: "Delete", shell: id}, 840},
	} {
		test.timeout = time.Minute
		size := len(test.envelope("http://192.168.56.11:5985/wsman", 512000))
		blank := post{header: map[string][]string{"Content-Type": {sealedType}}}
		around := len(head("192.168.56.11:5985", blank)) + len(sealedHead(size)) + 20 + len(boundary+"--\r\n") + len("1024") - len("0")
		t.Logf("%-8s %4d bytes, sealed and with the head of HTTP %4d", test.name, size, size+around)
		if size > test.most || around > 510 {
			t.Errorf("%s has %d bytes, and %d around it", test.name, size, around)
		}
	}
}

func TestATimeIsWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Minute: "PT60S", 20 * time.Second: "PT20S", 500 * time.Millisecond: "PT0.5S", time.Nanosecond: "PT0.001S",
		1234567 * time.Microsecond: "PT1.235S", 100 * time.Hour: "PT360000S"} {
		if got := duration(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
