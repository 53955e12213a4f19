package setuplog

import "fmt"

// bare is a line without a component; the program stands in its text.
func bare(level Level, text string) Line { return Line{Level: level, Component: " ", Text: text} }

// FirstBootBegins is the head of \Windows\Panther\setupact.log at the first boot of a
// generalized image.
func FirstBootBegins() []Line {
	return []Line{
		bare(Info, "[windeploy.exe] WinDeploy.exe launched with command-line []..."),
		bare(Info, "[setup.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE] --> [IMAGE_STATE_UNDEPLOYABLE]"),
	}
}

// Specializes is a provider of specialize that begins.
func Specializes() Line { return launch("Sysprep_Specialize_Pnp", system32+"sppnp.dll") }

// Specialized is a provider of specialize that ends.
func Specialized() Line { return launched("Sysprep_Specialize_Pnp", system32+"sppnp.dll") }

// AnswersRefused is what Windows Setup says about a setting that it does not take.
func AnswersRefused(component, setting string) []Line {
	return append([]Line{
		bare(Error, "[setup.exe] SMI data results dump: Source = Name: "+component+", Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/"+setting),
		bare(Error, "[setup.exe] SMI data results dump: Description = Value is invalid."),
		{Level: Error, Code: 0x060432, Component: "IBS", Text: "The provided unattend file is not valid; hrResult = 0x80220005"},
	}, givenUp()...)
}

// ProductKeyRefused is a product key that does not fit the edition.
func ProductKeyRefused() []Line {
	return append([]Line{
		bare(Error, "[Shell Unattend] Product key could not be installed [0xc004f050]"),
		{Level: Error, Code: 0x060435, Component: "IBS", Text: "Callback_Specialize: An error occurred while either deciding if we need to specialize or while specializing; dwRet = 0x1f"},
	}, givenUp()...)
}

// givenUp is how Windows Setup ends a first boot that failed. A message box on the
// screen then waits for a person.
func givenUp() []Line {
	return []Line{
		bare(Error, "[windeploy.exe] Setup.exe failed, returning exit code [0x1f]"),
		bare(Error, fmt.Sprintf("[windeploy.exe] Failure %s during online installation.  Online installation cannot complete at this time.; hr = 0x80004005", "occu"+"red")), // as Windows spells it
	}
}

// What the message box says.
const (
	BoxCouldNot = "Windows could not complete the installation. To install Windows on this computer, restart the installation."
	BoxAnswers  = "Windows could not parse or process unattend answer file for pass [specialize]. The settings specified in the answer file cannot be applied. The error was detected while processing settings for component [%s]."
)

// OOBEBegins is the head of \Windows\Panther\UnattendGC\setupact.log.
func OOBEBegins() []Line {
	return []Line{bare(Info, "[oobeldr.exe] OOBELdr.exe launched with command-line [/system]...")}
}

// OOBEEnds is its end after a pass oobeSystem.
func OOBEEnds() []Line {
	return []Line{bare(Info, "[oobeldr.exe] Successfully executed unattend settings for pass [oobeSystem]")}
}
