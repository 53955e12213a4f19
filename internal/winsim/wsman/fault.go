package wsman

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"strings"
)

// Fault codes: HRESULTs of facility 0x33 are from wsmerror.h, which also names
// the SOAP codes and texts; the others are Win32 errors.
const (
	codeResourceNotFound uint32 = 0x80338000
	codePlugin           uint32 = 0x80338003
	codeInvalidHeader    uint32 = 0x8033800F
	codeSOAPVersion      uint32 = 0x8033800D
	codeMustUnderstand   uint32 = 0x80338010
	codeHeaderRequired   uint32 = 0x80338011
	codeAction           uint32 = 0x80338013
	codeInvalidBody      uint32 = 0x80338027
	codeTimedOut         uint32 = 0x80338029 // 2150858793
	codeInvalidOptions   uint32 = 0x80338039
	codeInvalidParameter uint32 = 0x8033803A
	codeSchema           uint32 = 0x80338041
	codeInvalidXML       uint32 = 0x80338043
	codeOptionName       uint32 = 0x80338052
	codeOptionValue      uint32 = 0x80338053
	codeSelectors        uint32 = 0x8033805B // 2150858843
	codeMinEnvelope      uint32 = 0x8033807E
	codeInputStream      uint32 = 0x8033818B
	codeOutputStream     uint32 = 0x8033818D
	codeMaxShells        uint32 = 0x803381A5 // 2150859173
	codeMaxOperations    uint32 = 0x803381A6 // 2150859174
	codeMaxShellUsers    uint32 = 0x803381AB // 2150859179
	codeFileNotFound     uint32 = 0x80070002 // 2147942402
	codeNoMemory         uint32 = 0x80070008 // 2147942408: MaxMemoryPerShellMB, by injection only
	codeNameTooLong      uint32 = 0x800700CE
	codeNotEnoughQuota   uint32 = 0x80070718
	codeBrokenPipe       uint32 = 109
	codeAborted          uint32 = 995
)

// fault is a SOAP fault (MS-WSMV 2.2.4.44).
type fault struct {
	code     uint32
	value    string // s:Sender, s:Receiver, s:MustUnderstand
	subcode  string // may be empty
	reason   string
	message  string // what the machine says in detail; the reason when empty
	detail   string // last part of w:FaultDetail, may be empty
	provider string // who failed; empty: the service itself
	path     string // of the provider
	nested   bool   // the provider reports a fault of its own
}

// faults is what is known of each code. Texts end as Windows ends them, with
// one or two blanks.
var faults = map[uint32]fault{
	codeResourceNotFound: {value: "s:Sender", subcode: "a:DestinationUnreachable", detail: "InvalidResourceURI", reason: "The WS-Management service cannot process the request. The service cannot find the resource identified by the resource URI and selectors. "},
	codePlugin:           {reason: "An error was encountered inside the plugin. "},
	codeInvalidHeader:    {value: "s:Sender", subcode: "a:InvalidMessageInformationHeader", reason: "The WS-Management service cannot process the request. The request contains one or more invalid SOAP headers. "},
	codeSOAPVersion:      {value: "s:VersionMismatch", reason: "The WS-Management service does not support the SOAP version specified in the request. "},
	codeMustUnderstand:   {value: "s:MustUnderstand", reason: "The WS-Management service cannot process a SOAP header in the request that is marked as mustUnderstand by the client. This could be caused by the use of a version of the protocol which is not supported, or may be an incompatibility between the client and server implementations. "},
	codeHeaderRequired:   {value: "s:Sender", subcode: "a:MessageInformationHeaderRequired", reason: "The WS-Management service cannot process the request. The request does not have all the expected SOAP headers. "},
	codeAction:           {value: "s:Sender", subcode: "a:ActionNotSupported", reason: "The WS-Management service does not support the action specified in the request. "},
	codeInvalidBody:      {value: "s:Sender", subcode: "w:SchemaValidationError", reason: "The WS-Management service cannot process the request because the request packet does not have a valid SOAP body. "},
	codeTimedOut:         {value: "s:Receiver", subcode: "w:TimedOut", reason: "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  "},
	codeInvalidOptions:   {value: "s:Sender", subcode: "w:InvalidOptions", reason: "The WS-Management service cannot process the request because one or more options are not valid. The option names or values may not be valid or they are used in incorrect combinations. Retrieve the catalog entry for the resource and determine how to correct the invalid option values. "},
	codeInvalidParameter: {value: "s:Sender", subcode: "w:InvalidParameter", reason: "The WS-Management service cannot process the request because a parameter for the operation is not valid. "},
	codeSchema:           {value: "s:Sender", subcode: "w:SchemaValidationError", reason: "The SOAP XML in the message does not match the corresponding XML schema definition. Change the XML and retry. "},
	codeInvalidXML:       {value: "s:Sender", subcode: "w:SchemaValidationError", reason: "The WS-Management service cannot process the request because the XML is invalid. "},
	codeOptionName:       {value: "s:Sender", subcode: "w:InvalidOptions", detail: "InvalidName", reason: "The WS-Management service cannot process the request because one or more of the options has an invalid name. "},
	codeOptionValue:      {value: "s:Sender", subcode: "w:InvalidOptions", detail: "InvalidValue", reason: "The WS-Management service cannot process the request because one or more of the options has an invalid value. "},
	codeSelectors:        {value: "s:Sender", subcode: "w:InvalidSelectors", detail: "UnexpectedSelectors", reason: "The WS-Management service cannot process the request because the request contained invalid selectors for the resource. "},
	codeMinEnvelope:      {value: "s:Sender", subcode: "w:EncodingLimit", detail: "MinimumEnvelopeLimit", reason: "The WS-Management service cannot process the request because the envelope size in the request is too small. "},
	codeInputStream:      {value: "s:Sender", subcode: "w:InvalidParameter", reason: "The stream name is not one of the input streams of the shell. "},
	codeOutputStream:     {value: "s:Sender", subcode: "w:InvalidParameter", reason: "The desired streams are not among the output streams of the shell. "},
	codeMaxShells:        {value: "s:Receiver", subcode: "w:QuotaLimit", reason: "The WS-Management service cannot process the request. This user is allowed a maximum number of %d concurrent shells, which has been exceeded. Close existing shells or raise the quota for this user. "},
	codeMaxOperations:    {value: "s:Receiver", subcode: "w:QuotaLimit", reason: "The WS-Management service cannot process the request. This user is allowed a maximum number of %d concurrent operations, which has been exceeded. Close existing operations for this user, or raise the quota for this user. "},
	codeMaxShellUsers:    {value: "s:Receiver", subcode: "w:QuotaLimit", reason: "The WS-Management service cannot process the request. The maximum number of users executing shell operations has been exceeded. Retry after some time or raise the quota for concurrent shell users. "},
	codeFileNotFound:     {provider: "Shell cmd plugin", path: cmdPlugin, reason: "The system cannot find the file specified. "},
	codeNoMemory:         {provider: "Shell cmd plugin", path: cmdPlugin, reason: "Not enough memory resources are available to process this command. "},
	codeNameTooLong:      {provider: "Shell cmd plugin", path: cmdPlugin, reason: "The filename or extension is too long. "},
	codeNotEnoughQuota:   {provider: "Shell cmd plugin", path: cmdPlugin, reason: "Not enough quota is available to process this command. "},
	codeBrokenPipe:       {reason: "The pipe has been ended. "},
	codeAborted:          {reason: "The I/O operation has been aborted because of either a thread exit or an application request. "},
}

const cmdPlugin = `%systemroot%\system32\winrscmd.dll`

// newFault returns the fault of a code; args fill the placeholders of its
// text. A code nobody described is an internal error of the service.
func newFault(code uint32, args ...any) *fault {
	f := faults[code]
	f.code = code
	if f.value == "" {
		f.value, f.subcode = "s:Receiver", "w:InternalError"
	}
	if f.reason == "" {
		f.reason = fmt.Sprintf("The service failed with error 0x%08x. ", code)
	} else if len(args) > 0 {
		f.reason = fmt.Sprintf(f.reason, args...)
	}
	return &f
}

// because adds what exactly was wrong.
func (f *fault) because(format string, args ...any) *fault {
	f.message = fmt.Sprintf(format, args...)
	return f
}

func (f *fault) Error() string {
	if f.message != "" {
		return strings.TrimSpace(f.reason) + " " + strings.TrimSpace(f.message)
	}
	return strings.TrimSpace(f.reason)
}

// shellNotFound is what a cmd shell that is gone is answered with.
func shellNotFound(id string) *fault {
	f := newFault(codeSelectors)
	f.reason = fmt.Sprintf("The request for the Windows Remote Shell with ShellId %s failed because the shell was not found on the server. "+
		"Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server. "+
		"Provide the correct ShellId or create a new shell and retry the operation. ", id)
	return f
}

const (
	faultHead = `<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%d" Machine="%s">`
	faultTail = `</f:WSManFault>`
)

func (f *fault) xml(machine string) string {
	var b strings.Builder
	b.WriteString(`<s:Fault><s:Code><s:Value>` + f.value + `</s:Value>`)
	if f.subcode != "" {
		b.WriteString(`<s:Subcode><s:Value>` + f.subcode + `</s:Value></s:Subcode>`)
	}
	b.WriteString(`</s:Code><s:Reason><s:Text xml:lang="en-US">` + escape(f.reason) + `</s:Text></s:Reason><s:Detail>`)
	if f.detail != "" {
		b.WriteString(`<w:FaultDetail>http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/` + f.detail + `</w:FaultDetail>`)
	}
	message := f.message
	if message == "" {
		message = f.reason
	}
	head := fmt.Sprintf(faultHead, f.code, escape(machine))
	inner := escape(message)
	if f.nested {
		inner = head + `<f:Message>` + inner + `</f:Message>` + faultTail
	}
	if f.provider != "" {
		inner = fmt.Sprintf(`<f:ProviderFault provider="%s" path="%s">%s</f:ProviderFault>`, f.provider, f.path, inner)
	}
	b.WriteString(head + `<f:Message>` + inner + `</f:Message>` + faultTail + `</s:Detail></s:Fault>`)
	return b.String()
}

// action is the action of the reply: faults of WS-Addressing have their own.
func (f *fault) action() string {
	if strings.HasPrefix(f.subcode, "a:") {
		return nsAddress + "/fault"
	}
	return "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
}

const envelopeHead = `<s:Envelope xml:lang="en-US" xmlns:s="` + nsSOAP + `" xmlns:a="` + nsAddress + `" xmlns:x="` + nsTransfer +
	`" xmlns:w="` + nsWSMan + `" xmlns:rsp="` + nsShell + `" xmlns:p="` + nsMSWSMan + `">`

// reply wraps the answer to r.
func reply(r *request, action, body string) []byte {
	return []byte(envelopeHead + `<s:Header><a:Action>` + action + `</a:Action><a:MessageID>uuid:` + newID() +
		`</a:MessageID><p:ActivityId>` + newID() + `</p:ActivityId><a:To>` + anonymous + `</a:To><a:RelatesTo>` + escape(r.messageID) +
		`</a:RelatesTo></s:Header><s:Body>` + body + `</s:Body></s:Envelope>`)
}

func identifyReply(version string) []byte {
	return []byte(`<s:Envelope xml:lang="en-US" xmlns:s="` + nsSOAP + `"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="` + nsIdentity +
		`"><wsmid:ProtocolVersion>` + nsWSMan + `</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>` +
		`<wsmid:ProductVersion>` + version + `</wsmid:ProductVersion></wsmid:IdentifyResponse></s:Body></s:Envelope>`)
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer does not fail
	return b.String()
}

// newID returns a random UUID in upper case, as Windows writes them.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
