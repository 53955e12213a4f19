package wsman

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRequestsWithAnythingUnexpectedAreRefused(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	c := p.run(sh, "cat")
	create := message{action: "Create", body: shellBody}
	command := message{action: "Command", shell: sh, body: commandBody("echo x")}
	shell := func(add string) message {
		return message{action: "Create", body: strings.Replace(shellBody, "</rsp:Shell>", add+"</rsp:Shell>", 1)}
	}
	with := func(m message, change func(*message)) message { change(&m); return m }
	header := func(h string) message { return with(create, func(m *message) { m.headers = h }) }
	option := func(name, value string) string {
		return fmt.Sprintf(`<w:Option Name="%s">%s</w:Option>`, name, value)
	}
	for name, test := range map[string]struct {
		m    message
		code uint32
	}{
		"unknown header":                             {header(`<p:Surprise>1</p:Surprise>`), codeInvalidHeader},
		"unknown header that must be understood":     {header(`<p:Surprise s:mustUnderstand="true">1</p:Surprise>`), codeMustUnderstand},
		"header twice":                               {header(`<a:MessageID>uuid:2</a:MessageID>`), codeInvalidHeader},
		"child in a plain header":                    {header(`<p:SessionId><p:x/></p:SessionId>`), codeInvalidHeader},
		"attribute on a header":                      {header(`<p:SessionId color="red">1</p:SessionId>`), codeInvalidHeader},
		"timeout of zero":                            {with(create, func(m *message) { m.timeout = "PT0S" }), codeInvalidHeader},
		"negative timeout":                           {with(create, func(m *message) { m.timeout = "PT-1S" }), codeInvalidHeader},
		"timeout in words":                           {with(create, func(m *message) { m.timeout = "soon" }), codeInvalidHeader},
		"envelope size in words":                     {with(create, func(m *message) { m.envelope = "big" }), codeMinEnvelope},
		"foreign resource":                           {with(create, func(m *message) { m.resource = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell" }), codeResourceNotFound},
		"unknown action":                             {message{action: "Surprise", shell: sh}, codeAction},
		"no shell selector":                          {message{action: "Delete"}, codeSelectors},
		"selector on Create":                         {with(create, func(m *message) { m.shell = sh }), codeSelectors},
		"unknown option":                             {with(command, func(m *message) { m.options = option("WINRS_SURPRISE", "TRUE") }), codeOptionName},
		"option that belongs to another action":      {with(command, func(m *message) { m.options = option("WINRS_CODEPAGE", "437") }), codeOptionName},
		"option twice":                               {with(command, func(m *message) { m.options = strings.Repeat(option("WINRS_SKIP_CMD_SHELL", "TRUE"), 2) }), codeInvalidOptions},
		"option that is not boolean":                 {with(command, func(m *message) { m.options = option("WINRS_SKIP_CMD_SHELL", "perhaps") }), codeOptionValue},
		"Create without a body":                      {message{action: "Create"}, codeInvalidBody},
		"Create with another body":                   {message{action: "Create", body: commandBody("x")}, codeInvalidBody},
		"Create with two bodies":                     {message{action: "Create", body: shellBody + shellBody}, codeInvalidBody},
		"unknown element in Shell":                   {shell(`<rsp:Surprise/>`), codeSchema},
		"element of Shell twice":                     {shell(`<rsp:Name>a</rsp:Name><rsp:Name>b</rsp:Name>`), codeSchema},
		"text in Shell":                              {shell(`surprise`), codeSchema},
		"unknown input stream":                       {message{action: "Create", body: strings.Replace(shellBody, ">stdin<", ">stdin pr<", 1)}, codeInputStream},
		"unknown output stream":                      {message{action: "Create", body: strings.Replace(shellBody, "stderr", "trace", 1)}, codeOutputStream},
		"variable without a name":                    {shell(`<rsp:Environment><rsp:Variable>x</rsp:Variable></rsp:Environment>`), codeSchema},
		"idle time in words":                         {shell(`<rsp:IdleTimeOut>soon</rsp:IdleTimeOut>`), codeSchema},
		"Delete with a body":                         {message{action: "Delete", shell: sh, body: shellBody}, codeInvalidBody},
		"unknown element in CommandLine":             {with(command, func(m *message) { m.body = `<rsp:CommandLine><rsp:Line>x</rsp:Line></rsp:CommandLine>` }), codeSchema},
		"element in Command":                         {with(command, func(m *message) { m.body = `<rsp:CommandLine><rsp:Command>x<b/></rsp:Command></rsp:CommandLine>` }), codeSchema},
		"empty command":                              {with(command, func(m *message) { m.body = commandBody("") }), codeInvalidParameter},
		"Send without a stream":                      {message{action: "Send", shell: sh, body: `<rsp:Send/>`}, codeSchema},
		"Send to stdout":                             {message{action: "Send", shell: sh, body: strings.Replace(fmt.Sprintf(sendBody, c, false, ""), "stdin", "stdout", 1)}, codeInputStream},
		"Send of something that is not base64":       {message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, c, false, "%%%")}, codeSchema},
		"Send with a strange End":                    {message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, c, "maybe", "")}, codeSchema},
		"Send to an unknown command":                 {message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, "X", false, "")}, codeInvalidParameter},
		"Receive from an unknown command":            {message{action: "Receive", shell: sh, body: fmt.Sprintf(receiveBody, "X")}, codeInvalidParameter},
		"Receive of an unknown stream":               {message{action: "Receive", shell: sh, body: strings.Replace(fmt.Sprintf(receiveBody, c), "stderr", "trace", 1)}, codeOutputStream},
		"Receive of no stream":                       {message{action: "Receive", shell: sh, body: `<rsp:Receive/>`}, codeOutputStream},
		"Receive with a strange attribute":           {message{action: "Receive", shell: sh, body: strings.Replace(fmt.Sprintf(receiveBody, c), "CommandId", `x="1" CommandId`, 1)}, codeSchema},
		"unknown signal":                             {message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, c, "hup")}, codeInvalidParameter},
		"Signal to an unknown command":               {message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, "X", "terminate")}, codeInvalidParameter},
		"Get of a cmd shell, which was not recorded": {message{action: "Get", resource: nsShell, shell: sh}, codeAction},
	} {
		t.Run(name, func(t *testing.T) {
			q := *p
			q.t = t
			q.wantFault(test.m, test.code)
		})
	}
	p.must(command) // and the shell is none the worse
}

func TestWhatIsNotAnEnvelopeIsRefused(t *testing.T) {
	p := newPeer(t, serve(t, honest(), nil))
	good := message{action: "Create", body: shellBody}.xml()
	for name, test := range map[string]struct {
		raw  string
		code uint32
	}{
		"no XML":                   {"hello", codeInvalidXML},
		"cut short":                {good[:len(good)-20], codeInvalidXML},
		"two documents":            {good + good, codeInvalidXML},
		"document type":            {`<!DOCTYPE x [<!ENTITY y "z">]>` + good, codeInvalidXML},
		"processing instruction":   {`<?xslt x?>` + good, codeInvalidXML},
		"nested for ever":          {strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20), codeInvalidXML},
		"attribute twice":          {`<a b="1" b="2"/>`, codeInvalidXML},
		"SOAP 1.1":                 {strings.ReplaceAll(good, nsSOAP, "http://schemas.xmlsoap.org/soap/envelope/"), codeSOAPVersion},
		"another document":         {`<html/>`, codeSchema},
		"a third part of Envelope": {strings.Replace(good, "<s:Body>", "<s:Extra/><s:Body>", 1), codeSchema},
		"no Body":                  {good[:strings.Index(good, "<s:Body>")] + "</s:Envelope>", codeInvalidBody},
		"text in Body":             {strings.Replace(good, "<s:Body>", "<s:Body>x", 1), codeInvalidBody},
		"no ReplyTo":               {good[:strings.Index(good, "<a:ReplyTo>")] + good[strings.Index(good, "<w:ResourceURI>"):], codeHeaderRequired},
		"answer to somewhere else": {strings.Replace(good, anonymous, "http://elsewhere/", 1), codeInvalidHeader},
		"strange child in ReplyTo": {strings.Replace(good, "</a:ReplyTo>", "<a:To/></a:ReplyTo>", 1), codeInvalidHeader},
		"no action":                {strings.Replace(good, nsTransfer+"/Create", "", 1), codeHeaderRequired},
		"two selectors":            {strings.Replace(good, "</s:Header>", `<w:SelectorSet><w:Selector Name="ShellId">a</w:Selector><w:Selector Name="ShellId">b</w:Selector></w:SelectorSet></s:Header>`, 1), codeSelectors},
		"selector of another name": {strings.Replace(good, "</s:Header>", `<w:SelectorSet><w:Selector Name="Id">a</w:Selector></w:SelectorSet></s:Header>`, 1), codeSelectors},
	} {
		t.Run(name, func(t *testing.T) {
			q := *p
			q.t = t
			if a := q.post(test.raw); a.status != http.StatusInternalServerError || a.code != test.code {
				t.Errorf("HTTP %d, fault %d; want 500 and %d", a.status, a.code, test.code)
			}
		})
	}
}

func TestHTTPAroundTheEnvelope(t *testing.T) {
	addr := serve(t, honest(), nil)
	good := message{action: "Create", body: shellBody}.xml()
	identify := fmt.Sprintf(`<s:Envelope xmlns:s="%s"><s:Header/><s:Body><i:Identify xmlns:i="%s"/></s:Body></s:Envelope>`, nsSOAP, nsIdentity)
	const soap = "application/soap+xml;charset=UTF-8"
	for name, test := range map[string]struct {
		method, path, kind, identify, password, body string
		status                                       int
	}{
		"a shell":                        {"POST", "/wsman", soap, "", testPassword, good, 200},
		"path in capitals":               {"POST", "/WSMan/", soap, "", testPassword, good, 200},
		"another path":                   {"POST", "/", soap, "", testPassword, good, 404},
		"another method":                 {"GET", "/wsman", soap, "", testPassword, "", 405},
		"another media type":             {"POST", "/wsman", "text/xml", "", testPassword, good, 415},
		"wrong password":                 {"POST", "/wsman", soap, "", "wrong", good, 401},
		"no password":                    {"POST", "/wsman", soap, "", "", good, 401},
		"sealed without NTLM":            {"POST", "/wsman", sealedType, "", testPassword, good, 400},
		"Identify":                       {"POST", "/wsman", soap, "", testPassword, identify, 200},
		"Identify without a password":    {"POST", "/wsman", soap, "", "", identify, 401},
		"Identify for everybody":         {"POST", "/wsman", soap, "unauthenticated", "", identify, 200},
		"a shell pretending to identify": {"POST", "/wsman", soap, "unauthenticated", "", good, 400},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, "http://"+addr.String()+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.kind)
			if test.identify != "" {
				req.Header.Set("WSMANIDENTIFY", test.identify)
			}
			if test.password != "" {
				req.SetBasicAuth(`GUEST\`+strings.ToUpper(testUser), test.password)
			}
			resp, err := newPeer(t, addr).client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("HTTP %d, want %d", resp.StatusCode, test.status)
			}
			if resp.StatusCode == http.StatusUnauthorized && len(resp.Header.Values("WWW-Authenticate")) != 2 {
				t.Errorf("offers %q", resp.Header.Values("WWW-Authenticate"))
			}
		})
	}
}

func TestWindowsDefaultsRefusePlainHTTP(t *testing.T) {
	s := honest()
	s.AllowUnencrypted = false
	addr := serve(t, s, nil)
	if a := newPeer(t, addr).post(message{action: "Create", body: shellBody}.xml()); a.status != http.StatusUnauthorized {
		t.Errorf("HTTP %d, want 401", a.status)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"PT60S": time.Minute, "PT30M": 30 * time.Minute, "PT1H2M3.5S": time.Hour + 2*time.Minute + 3500*time.Millisecond,
		"P1D": 24 * time.Hour, "P1DT1S": 24*time.Hour + time.Second, "PT0.000S": 0, "P999999D": 876000 * time.Hour} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "P1DT", "60", "PT-1S", "-PT1S", "P1Y", "P1M", "PT1S ", "PT1.S", "PTxS"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
