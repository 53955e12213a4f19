package winrm

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"
)

// timedOut is what Windows answers to a Receive when a command has nothing to
// say for a while (MS-WSMV 3.1.4.14): no failure.
const timedOut = "2150858793"

// FaultError is a fault that the service answered with.
type FaultError struct {
	Code string // of the WSManFault, e.g. 2150858843 for a shell that it does not know
	Text string // in the guest's language
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("the WinRM service answers with fault %s: %s", cmp.Or(e.Code, "without a number"), cmp.Or(e.Text, "no text"))
}

// Attentive makes the client library hear faults. Without it a fault is a body
// without output to the library, which asks again at once: for a shell that
// Windows has forgotten, a thousand times a second until the connection breaks.
// base makes the transport to be used, nil the library's own.
func Attentive(base func() winrm.Transporter) func() winrm.Transporter {
	return func() winrm.Transporter {
		if base == nil {
			return attentive{winrm.NewClientWithDial(nil)}
		}
		return attentive{base()}
	}
}

type attentive struct{ winrm.Transporter }

// Post is part of winrm.Transporter.
func (a attentive) Post(c *winrm.Client, m *soap.SoapMessage) (string, error) {
	body, err := a.Transporter.Post(c, m)
	if err != nil {
		return body, err
	}
	if fault := faultIn(body); fault != nil && fault.Code != timedOut {
		return "", fault
	}
	return body, nil
}

// faultIn reads the fault of an answer, nil when it is none.
func faultIn(body string) *FaultError {
	if !strings.Contains(body, "Fault>") {
		return nil
	}
	var envelope struct {
		Fault *struct {
			Text   string `xml:"Reason>Text"`
			Detail struct {
				Fault struct {
					Code string `xml:"Code,attr"`
				} `xml:"WSManFault"`
			} `xml:"Detail"`
		} `xml:"Body>Fault"`
	}
	if err := xml.Unmarshal([]byte(body), &envelope); err != nil || envelope.Fault == nil {
		return nil //nolint:nilerr // what is no SOAP holds no fault
	}
	const most = 300
	text := strings.Join(strings.Fields(envelope.Fault.Text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return &FaultError{Code: envelope.Fault.Detail.Fault.Code, Text: text}
}
