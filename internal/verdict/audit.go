package verdict

import (
	"cmp"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// InAudit says whether Windows is in audit mode, and ready to work in. The
// reason is why it is not. A guest that was told to restart has the state of audit
// mode before it does so: SameBoot tells.
func InAudit(first First) (in bool, why string) {
	switch {
	case !first.Reached:
		return false, "the guest did not answer: " + cmp.Or(first.TransportErr, "no reason given")
	case first.SameBoot == Yes:
		return false, "Windows has not restarted yet"
	case first.ImageState.Means() != windows.InAudit:
		return false, fmt.Sprintf("ImageState is %s, and in audit mode it is %s", cmp.Or(first.ImageState, "unknown"), windows.StateSpecializeToAudit)
	case first.AuditMode == No:
		return false, "ImageState says audit mode, AuditBoot does not"
	case first.SystemSetupInProgress == Yes:
		return false, "Windows Setup is still running (SystemSetupInProgress is set)"
	}
	return true, ""
}
