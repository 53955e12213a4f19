package inventory

import (
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

// software is a small hive SOFTWARE, with what change does to it.
func software(change ...func(root *hivewrite.Key)) []byte {
	root := hivewrite.NewKey("ROOT")
	root.Path(`Microsoft\Windows NT\CurrentVersion`).SetString("ProductName", "Windows Server 2022 Standard").SetString("EditionID", "ServerStandard").
		SetString("InstallationType", "Server").SetString("DisplayVersion", "21H2").SetString("CurrentBuildNumber", "20348").
		SetString("CurrentVersion", "6.3").SetDWord("CurrentMajorVersionNumber", 10).SetDWord("CurrentMinorVersionNumber", 0).SetDWord("UBR", 2340)
	for _, f := range change {
		f(root)
	}
	return hivewrite.Build(root, "SOFTWARE")
}
