package setuplog

import (
	"fmt"
	"slices"
	"strings"
)

// Servicing is what CBS.log says of a failure of the check for pending servicing;
// nothing for all others. The forms are those of CBS.log of real machines, the
// words are put together.
func (f Failure) Servicing() []Line {
	cbs := func(level Level, text string) Line { return Line{Level: level, Component: "CBS", Text: text} }
	switch {
	case f.Class == "F23":
		return []Line{cbs(Info, "TrustedInstaller service starts."), cbs(Error, "Failed to create session manager. [HRESULT = 0x80080005 - CO_E_SERVER_EXEC_FAILURE]")}
	case slices.Contains([]string{"F21", "F24", "F26", "F40"}, f.Class):
		return []Line{cbs(Info, "Pending operations exist."), cbs(Error, "Failed to resolve package: Package_for_KB5034441~31bf3856ad364e35~amd64~~19041.3920.1.3 [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]")}
	}
	return nil
}

// DISM is the same of dism.log.
func (f Failure) DISM() []Line {
	if f.Class != "F22" {
		return nil
	}
	return []Line{{Level: Error, Component: "DISM", Text: "DISM Package Manager: PID=4321 TID=1234 Failed to query the state of reserved storage. - CReserveManager::GetState(hr:0x800f0975)"}}
}

// AppError is what the event log of app deployment says of a package that sysprep
// refused, empty for all other failures.
func (f Failure) AppError(packages []string) string {
	for _, l := range f.Lines(packages) {
		if rest, ok := strings.CutPrefix(l.Text, "Package "); ok {
			name, _, _ := strings.Cut(rest, " ")
			return fmt.Sprintf("AppX Deployment operation failed for package %s with error 0x80073CFA. The specific error text for this failure is: Removal failed.", name)
		}
	}
	return ""
}
