package diagnosis

// family is a kind of lines that good runs have as well. They are never a cause
// and never shown as evidence, unless the provider that writes them is the one
// that failed.
type family struct {
	pattern pattern
	// module is the DLL of the provider that writes them, in lower case; empty
	// where none of them ever tells a cause.
	module string
}

// noise are the families (azure-docs #43893, winget-cli #5599, runner-images
// #7103, compute-image-windows #156, field reports).
var noise = []family{
	{compile(`Failed to re-enable Compat-Gentel custom trigger`), "spcompat.dll"},
	{compile(`setupdigetclassdevs failed with error`), "sppnp.dll"},
	{compile(`^SPPNP: |Unable to uninstall device `), "sppnp.dll"},
	{compile(`MRTGeneralize:\d+ - ERROR: `), ""},
	{compile(`BCD: Bi\w+ failed |BCD: Failed to export alterations to firmware`), "spbcd.dll"},
	{compile(`WinMain: File operations pending`), ""},
	{compile(`Shim considered |\bUnloadStore\(`), ""},
	{compile(`CWcmScalarInstanceCore|FACILITY_STATE_MANAGEMENT`), ""}, // hold the refused value itself
	{compile(`The sysprep dialog box returned FALSE`), ""},
	{compile(`CFirstUXWnd::OpenExisting failed`), ""},
	{compile(`Winre not found|winreFindOemWinRe failed|FindWinReSourceImageAndPartition|winreBackupRecoveryFile|Recovery file not found at `), ""},
	{compile(`NOTE: overwrite the error code `), ""},
	{compile(`ActionPlatform::(?:GetValue|DeleteValue|DeleteKey): (?:Error from RegQueryValueEx on value SysprepMode|Registry key .* does not exist)`), ""},
	{compile(`Registry key is either empty or malformed`), ""},
}

// isNoise says whether a line belongs to a family of noise in a run in which
// failed, the DLL of a provider or nothing, is what failed.
func (s *search) isNoise(l problem, failed string) bool {
	for _, f := range noise {
		if (f.module == "" || f.module != failed) && s.find(f.pattern, l) != nil {
			return true
		}
	}
	return false
}

// harmless says whether a line is noise whatever failed.
func harmless(l Line) bool { return (&search{left: maxSearched}).isNoise(newProblem(l), "") }
