package winrm

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// reply is an answer of the service, whatever it answers. The elements are
// those of MS-WSMV 2.2.4.
type reply struct {
	XMLName xml.Name `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
	Body    struct {
		Fault   *soapFault `xml:"http://www.w3.org/2003/05/soap-envelope Fault"`
		Created *struct {
			Selectors []selector `xml:"ReferenceParameters>SelectorSet>Selector"`
		} `xml:"http://schemas.xmlsoap.org/ws/2004/09/transfer ResourceCreated"`
		Shell *struct {
			ID string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell ShellId"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Shell"`
		Command *struct {
			ID string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell CommandId"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell CommandResponse"`
		Received *received `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell ReceiveResponse"`
		Identity *Identity `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd IdentifyResponse"`
	} `xml:"http://www.w3.org/2003/05/soap-envelope Body"`
}

type selector struct {
	Name  string `xml:"Name,attr"`
	Value string `xml:",chardata"`
}

type soapFault struct {
	Code    string   `xml:"Code>Value"`
	Subcode string   `xml:"Code>Subcode>Value"`
	Reason  []string `xml:"Reason>Text"`
	Detail  struct {
		WSMan *wsmanFault `xml:"http://schemas.microsoft.com/wbem/wsman/1/wsmanfault WSManFault"`
	} `xml:"Detail"`
}

// wsmanFault has its text in a Message, or a provider's fault there.
type wsmanFault struct {
	Code    string `xml:"Code,attr"`
	Message struct {
		Text     string `xml:",chardata"`
		Provider *struct {
			Name   string      `xml:"provider,attr"`
			Text   string      `xml:",chardata"`
			Nested *wsmanFault `xml:"WSManFault"`
		} `xml:"ProviderFault"`
	} `xml:"Message"`
}

type received struct {
	Streams []struct {
		Name    string `xml:"Name,attr"`
		Command string `xml:"CommandId,attr"`
		Data    string `xml:",chardata"`
	} `xml:"Stream"`
	State *struct {
		Command string  `xml:"CommandId,attr"`
		State   string  `xml:"State,attr"`
		Exit    *string `xml:"ExitCode"`
	} `xml:"CommandState"`
}

// parseReply reads an envelope.
func parseReply(raw []byte) (*reply, error) {
	r := new(reply)
	d := xml.NewTokenDecoder(&soapTokens{in: xml.NewDecoder(bytes.NewReader(raw))})
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("reading the envelope: %w", err)
	}
	return r, nil
}

// soapTokens are those that SOAP allows: no document type declarations and no
// processing instructions (SOAP 1.2 part 1, section 5). Deep trees are none of
// the service's.
type soapTokens struct {
	in    *xml.Decoder
	depth int
}

// Token is part of xml.TokenReader.
func (s *soapTokens) Token() (xml.Token, error) {
	const deepest = 32
	t, err := s.in.RawToken() // names are resolved by who asks
	switch t := t.(type) {
	case xml.StartElement:
		if s.depth++; s.depth > deepest {
			return nil, errors.New("elements are nested too deeply")
		}
	case xml.EndElement:
		s.depth--
	case xml.Directive:
		return nil, errors.New("it has a document type declaration")
	case xml.ProcInst:
		if t.Target != "xml" {
			return nil, errors.New("it has a processing instruction")
		}
	}
	return t, err
}

// fault is the fault of a reply, nil when it is none.
func (r *reply) fault(status int, op, addr string) *Fault {
	s := r.Body.Fault
	if s == nil {
		return nil
	}
	f := &Fault{SOAPCode: local(s.Code), Subcode: local(s.Subcode), Status: status, Op: op, Addr: addr}
	if len(s.Reason) > 0 {
		f.Reason = strings.TrimSpace(s.Reason[0])
	}
	if w := s.Detail.WSMan; w != nil {
		f.Code = w.code()
		f.Detail = strings.TrimSpace(w.Message.Text)
		if p := w.Message.Provider; p != nil {
			f.Provider, f.Detail = p.Name, strings.TrimSpace(p.Text)
			if p.Nested != nil {
				f.Detail = strings.TrimSpace(p.Nested.Message.Text)
			}
			if p.Nested != nil && f.Code == 0 {
				f.Code = p.Nested.code()
			}
		}
	}
	return f
}

// code is a number without a sign; some versions write it with one.
func (w *wsmanFault) code() uint32 {
	n, err := strconv.ParseInt(w.Code, 10, 64)
	if err != nil || n < -1<<31 || n > 1<<32-1 {
		return 0
	}
	return uint32(n)
}

// local is a qualified name without its prefix.
func local(name string) string {
	name = strings.TrimSpace(name)
	return name[strings.LastIndexByte(name, ':')+1:]
}

// shellID is that of a new shell. Windows 7 and later repeat it in Shell.
func (r *reply) shellID() (string, error) {
	if r.Body.Shell != nil && r.Body.Shell.ID != "" {
		return strings.TrimSpace(r.Body.Shell.ID), nil
	}
	if r.Body.Created != nil {
		for _, s := range r.Body.Created.Selectors {
			if s.Name == "ShellId" && strings.TrimSpace(s.Value) != "" {
				return strings.TrimSpace(s.Value), nil
			}
		}
	}
	return "", errors.New("the answer names no shell")
}

func (r *reply) commandID() (string, error) {
	if r.Body.Command == nil || strings.TrimSpace(r.Body.Command.ID) == "" {
		return "", errors.New("the answer names no command")
	}
	return strings.TrimSpace(r.Body.Command.ID), nil
}

// output is what one Receive brought.
type output struct {
	streams []stream
	done    bool
	code    int
}

type stream struct {
	stderr bool
	data   []byte
}

// output reads a ReceiveResponse (MS-WSMV 2.2.4.31) to one command.
func (r *reply) output(command string) (*output, error) {
	if r.Body.Received == nil {
		return nil, errors.New("the answer is none to Receive")
	}
	out := new(output)
	for _, s := range r.Body.Received.Streams {
		if s.Command != "" && !strings.EqualFold(s.Command, command) {
			return nil, errors.New("the answer has another command's output")
		}
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s.Data))
		if err != nil {
			return nil, fmt.Errorf("reading the stream %s: %w", oneLine(s.Name), err)
		}
		switch {
		case s.Name != "stdout" && s.Name != "stderr":
			return nil, fmt.Errorf("the answer has a stream %s", oneLine(s.Name))
		case len(data) > 0:
			out.streams = append(out.streams, stream{s.Name == "stderr", data})
		}
	}
	state := r.Body.Received.State
	if state == nil || !strings.HasSuffix(state.State, "/CommandState/Done") {
		return out, nil
	}
	if state.Exit == nil {
		return nil, errors.New("the command ended without an exit code")
	}
	code, err := strconv.ParseInt(strings.TrimSpace(*state.Exit), 10, 64)
	if err != nil || code < -1<<31 || code > 1<<32-1 {
		return nil, errors.New("the exit code is no number of 32 bits")
	}
	out.done, out.code = true, int(int32(uint32(code))) // an NTSTATUS reads as cmd.exe shows it
	return out, nil
}
