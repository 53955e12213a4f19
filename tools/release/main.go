// Command release builds what a user installs: for each platform a zip in the layout that
// packer init asks for, with checksums, a list of parts (CycloneDX), the licences of what
// is linked, and a statement on how it was built. The same commit and the same Go give the
// same bytes, whatever the folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/tools/released"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run does what the arguments say, in the module of the current folder.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "licences" {
		return licencesCommand(ctx, args[1:], out)
	}
	r := release{say: func(format string, a ...any) { fmt.Fprintf(out, format+"\n", a...) }}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", version.Version, "the version to release, such as 1.2.3")
	platforms := flags.String("platforms", "", "platforms with commas between them, such as linux/amd64 (default: all)")
	flags.StringVar(&r.out, "out", filepath.Join("build", "release"), "the folder to write, replaced as a whole")
	flags.StringVar(&r.commit, "commit", "", "the commit that is built (default: HEAD)")
	flags.StringVar(&r.signer, "sign", "", "sign SHA256SUMS with this key of gpg")
	tag := flags.String("tag", "", "the tag that starts the release: it has to fit the version and the changelog")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; try release -help", flags.Arg(0))
	}
	if !releasable.MatchString(r.version) {
		return fmt.Errorf("-version %q is no version such as 1.2.3; packer init installs no pre-releases", r.version)
	}
	var err error
	if r.platforms, err = released.Choose(*platforms); err != nil {
		return fmt.Errorf("-platforms: %w", err)
	}
	if *tag != "" {
		changelog, err := os.ReadFile("CHANGELOG.md")
		if err != nil {
			return err
		}
		if err := checkTag(*tag, r.version, string(changelog)); err != nil {
			return err
		}
	}
	return r.make(ctx)
}

var releasable = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)

// checkTag holds the tag of a release against version/version.go and the changelog.
func checkTag(tag, version, changelog string) error {
	if tag != "v"+version {
		return fmt.Errorf("the tag is %s, and version/version.go says %s; change one of them", tag, version)
	}
	heading := regexp.MustCompile(`(?m)^## \[?` + regexp.QuoteMeta(version) + `\]? - \d{4}-\d\d-\d\d$`)
	if !heading.MatchString(changelog) {
		return fmt.Errorf("CHANGELOG.md has no heading \"## [%s] - YYYY-MM-DD\"; give the section of this version its date", version)
	}
	return nil
}
