package winsim

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// slowFacts are the facts of the other groups.
var slowFacts = []fact{
	{"appx", "appx", (*gathering).appx},
	{"appx", "appxProvisioned", func(g *gathering) (any, error) {
		list := []document{}
		for _, p := range g.s.Provisioned {
			list = append(list, document{{"displayName", p.DisplayName}, {"packageName", p.PackageName}, {"version", p.Version}})
		}
		return document{{"available", !g.s.NoAppx}, {"packages", list}}, g.try("Get-AppxProvisionedPackage")
	}},
	{"licensing", "licensing", func(g *gathering) (any, error) {
		list := []document{}
		for _, p := range g.s.Products {
			list = append(list, document{
				{"name", p.Name}, {"description", p.Description}, {"licenseStatus", p.LicenseStatus}, {"remainingSkuReArmCount", p.Rearm},
				{"graceMinutes", p.GraceMinutes}, {"evaluationEnd", utc(p.EvaluationEnd)},
			})
		}
		return document{{"remainingWindowsReArmCount", g.s.Rearm}, {"products", list}}, g.try("Get-CimInstance")
	}},
	{"roles", "roles", func(g *gathering) (any, error) {
		if !g.s.ServerManager {
			return document{{"source", "none"}, {"installed", []string{}}}, nil
		}
		return document{{"source", "Get-WindowsFeature"}, {"installed", slices.Clone(g.s.Roles)}}, g.try("Get-WindowsFeature")
	}},
	{"roles", "optionalFeatures", func(g *gathering) (any, error) {
		return document{{"installed", slices.Clone(g.s.OptionalFeatures)}}, g.try("Get-CimInstance")
	}},
	{"events", "eventLogs", func(g *gathering) (any, error) {
		folder := g.windows(`\System32\Winevt\Logs`)
		list := []document{}
		for _, root := range []string{keyServices + `\EventLog`, keyChannels} {
			keys, _ := g.below(root)
			for _, name := range keys {
				v, _ := g.g.reg.Get(root+`\`+name, "File")
				file := expandEnv(g.c.Env, v.Text())
				if file != "" && !strings.HasPrefix(strings.ToLower(file), strings.ToLower(folder)) {
					list = append(list, document{{"channel", name}, {"file", file}})
				}
			}
		}
		return document{{"defaultFolder", folder}, {"elsewhere", list}}, g.try("Test-Path")
	}},
	{"efs", "encryptedFiles", func(g *gathering) (any, error) {
		if len(g.s.Encrypted) == 0 {
			return document{{"exitCode", 1}, {"lines", []string{"", "Encrypted File(s) on your system:", ""}}}, g.try("cipher.exe")
		}
		return document{{"exitCode", 0}, {"lines", g.s.Encrypted[:min(100, len(g.s.Encrypted))]}}, g.try("cipher.exe")
	}},
}

func (g *gathering) appx() (any, error) {
	list := []document{}
	for _, p := range g.s.Packages {
		list = append(list, g.appPackage(p))
	}
	return document{{"available", !g.s.NoAppx}, {"packages", list}}, g.try("Get-AppxPackage")
}

func (g *gathering) appPackage(p machinestate.Package) document {
	var nonRemovable any = p.NonRemovable
	if g.s.NoNonRemovable {
		nonRemovable = nil
	}
	users := []document{}
	for _, u := range p.Users {
		users = append(users, document{{"sid", u.SID}, {"name", u.Name}, {"state", u.State}, {"text", u.SID + " [" + u.Name + "]: " + u.State}})
	}
	return document{
		{"name", p.Name}, {"fullName", p.FullName}, {"familyName", p.FamilyName}, {"version", p.Version}, {"architecture", "X64"}, {"signatureKind", p.SignatureKind},
		{"framework", p.Framework}, {"resource", p.Resource}, {"bundle", p.Bundle}, {"nonRemovable", nonRemovable}, {"developmentMode", false},
		{"installLocation", p.InstallLocation}, {"users", users},
	}
}
