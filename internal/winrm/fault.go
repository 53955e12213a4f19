package winrm

import (
	"errors"
	"fmt"
	"strings"
)

// Fault is what the service answers in place of a result (MS-WSMV 2.2.4.44,
// DSP0226 section 16). It is one of the kinds above by errors.Is.
type Fault struct {
	// Code is that of the WSManFault: an HRESULT of wsmerror.h or a Win32 error;
	// 0 when the fault has none.
	Code uint32
	// SOAPCode and Subcode are without their prefix: Receiver, TimedOut.
	SOAPCode, Subcode string
	// Reason and Detail are in the guest's language; Detail is that of the
	// provider where one failed, and Provider its name.
	Reason, Detail, Provider string
	Status                   int // of HTTP
	Op, Addr                 string
}

// notThere (2150858843, UNEXPECTED_SELECTORS) says that there is no such shell.
const notThere = 0x8033805B

// Codes of wsmerror.h and winerror.h. Where two are one meaning, the service
// answers with either, depending on its version and on who noticed.
var faultKinds = map[uint32]error{
	0x80338029: ErrOperationTimedOut, // 2150858793 OPERATION_TIMEDOUT

	notThere:   ErrShellLost,
	0x803381C4: ErrShellLost, // WINRS_SHELL_DISCONNECTED
	0x803381DE: ErrShellLost, // SERVICE_STREAM_DISCONNECTED: the service stops
	995:        ErrShellLost, // OPERATION_ABORTED: it ended under a request
	0x800703E3: ErrShellLost, // the same as an HRESULT
	1223:       ErrShellLost, // CANCELLED
	0x800704C7: ErrShellLost, // the same as an HRESULT
	0x800703FA: ErrShellLost, // 2147943418 KEY_DELETED: the profile that it runs under was unloaded

	0x803381A5: ErrQuotaShells,     // 2150859173 QUOTA_MAX_SHELLS
	0x803381E4: ErrQuotaShells,     // QUOTA_MAX_SHELLS_PPQ
	0x803381E6: ErrQuotaShells,     // QUOTA_MAX_PLUGINSHELLS_PPQ
	0x803381A6: ErrQuotaOperations, // 2150859174 QUOTA_MAX_OPERATIONS
	0x803381E7: ErrQuotaOperations, // QUOTA_MAX_PLUGINOPERATIONS_PPQ
	0x803381E8: ErrQuotaOperations, // QUOTA_MAX_OPERATIONS_USER_PPQ
	0x803381E9: ErrQuotaOperations, // QUOTA_MAX_COMMANDS_PER_SHELL_PPQ
	0x803381AB: ErrQuotaUsers,      // 2150859179 QUOTA_MAX_SHELLUSERS
	0x803381E5: ErrQuotaUsers,      // QUOTA_MAX_USERS_PPQ
	0x803381A7: ErrQuota,           // QUOTA_USER
	0x803381A8: ErrQuota,           // QUOTA_SYSTEM
	0x8033803F: ErrQuota,           // QUOTA_LIMIT
	0x80070008: ErrQuotaResources,  // 2147942408 NOT_ENOUGH_MEMORY
	0x80070718: ErrQuotaResources,  // NOT_ENOUGH_QUOTA

	5:          ErrAccessDenied, // ACCESS_DENIED
	0x80070005: ErrAccessDenied, // the same as an HRESULT

	0x80338047: ErrTooLarge, // 2150858823 MAX_ENVELOPE_SIZE
	0x80338048: ErrTooLarge, // MAX_ENVELOPE_SIZE_EXCEEDED
	0x80338049: ErrTooLarge, // SERVER_ENVELOPE_LIMIT
}

// Subcodes tell what a code that is not in the list is about (DSP0226 16.6).
var subcodeKinds = map[string]error{
	"TimedOut": ErrOperationTimedOut, "QuotaLimit": ErrQuota, "AccessDenied": ErrAccessDenied, "EncodingLimit": ErrTooLarge,
}

// kind is nil for a fault that has no name here.
func (f *Fault) kind() error {
	if k := faultKinds[f.Code]; k != nil {
		return k
	}
	return subcodeKinds[f.Subcode]
}

// uncertain says whether the service may have begun what it was asked for.
func (f *Fault) uncertain() bool {
	switch f.Code {
	case 995, 0x800703E3, 1223, 0x800704C7, 0x803381DE:
		return true // it was working on it
	}
	return errors.Is(f, ErrOperationTimedOut)
}

// Is compares f with a kind.
func (f *Fault) Is(target error) bool {
	k := f.kind()
	return k != nil && errors.Is(k, target)
}

func (f *Fault) Error() string {
	text := oneLine(f.Reason)
	if detail := oneLine(f.Detail); detail != "" && detail != text {
		text = strings.TrimSpace(text + " " + detail)
	}
	cause := fmt.Errorf("fault %d: %s", f.Code, text)
	if f.Code == 0 {
		cause = fmt.Errorf("fault %s %s: %s", f.SOAPCode, f.Subcode, text)
	}
	if k := f.kind(); k != nil {
		return describe(f.Op, f.Addr, k, cause)
	}
	return describe(f.Op, f.Addr, fmt.Errorf("the guest answers with %w", cause), nil)
}

// What a Send is answered with once nobody reads: the command has ended, or has
// closed its input. That is no failure of the command.
func inputClosed(err error) bool {
	var f *Fault
	if !errors.As(err, &f) {
		return false
	}
	switch f.Code {
	case 109, 0x8007006D, 232, 0x800700E8: // BROKEN_PIPE, NO_DATA
		return true
	}
	return false
}
