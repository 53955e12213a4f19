// Package version says which release of the plugin this is.
package version

import "github.com/hashicorp/packer-plugin-sdk/version"

var (
	// Version is the release, set by the release build with
	// -ldflags "-X .../version.Version=1.2.3".
	Version = "0.1.0"
	// VersionPrerelease is "dev" between releases: Packer installs a local
	// build only as a release or with this very word.
	VersionPrerelease = "dev"
	// PluginVersion is what the plugin tells Packer.
	PluginVersion = version.NewPluginVersion(Version, VersionPrerelease, "")
)
