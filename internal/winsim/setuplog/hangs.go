package setuplog

// hangs are the places where a run is known to stand still, by name: what follows the
// lines that begin generalize. The words are those of logs of such runs.
var hangs = map[string][]Line{
	// The wait for dmwappushservice: no provider has begun (Sycnex/Windows10Debloater #54, #72).
	"no-provider": nil,
	"updates":     {launch("GeneralizeForImaging", system32+"wuaueng.dll")},
	"devices":     {launch("Sysprep_Generalize_Pnp", system32+"sppnp.dll")},
	"apps":        {launch("SysprepGeneralize", system32+"AppxSysprep.dll")},
	// A provider of other software (Azure/AgentBaker, sysprep.ps1).
	"external": {
		infoCode(0x0f00a9, "WinMain:Processing 'generalize' external provider request."),
		infoCode(0x0f008b, `RunRegistryDlls:Found entrypoint in registry at SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize\{1}; will try to launch 'C:\Program Files\Contoso\agent.dll,Generalize'`),
		infoCode(0x0f0080, `LaunchDll:Found 'C:\Program Files\Contoso\agent.dll,Generalize'; executing it`),
	},
}

// Hang returns the last lines of a run that stands still there, false where no such
// place is known.
func Hang(where string) ([]Line, bool) {
	lines, ok := hangs[where]
	return lines, ok
}
