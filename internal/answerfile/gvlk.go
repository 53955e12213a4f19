package answerfile

import (
	"strings"
)

// volumeKeys are the generic volume licence keys (KMS client setup keys) that
// Microsoft publishes in "Key Management Services (KMS) client activation and
// product keys", https://learn.microsoft.com/windows-server/get-started/kms-client-activation-keys
// (text of MicrosoftDocs/windowsserverdocs at 0539a6bf, 2024-10-01). They name
// an edition and activate nothing without a KMS host.
var volumeKeys = map[string]string{
	"Windows Server 2025 Standard":                  "TVRH6-WHNXV-R9WG3-9XRFY-MY832",
	"Windows Server 2025 Datacenter":                "D764K-2NDRG-47T6Q-P8T8W-YP6DF",
	"Windows Server 2025 Datacenter: Azure Edition": "XGN3F-F394H-FD2MY-PP6FD-8MCRC",
	"Windows Server 2022 Standard":                  "VDYBN-27WPP-V4HQT-9VMD4-VMK7H",
	"Windows Server 2022 Datacenter":                "WX4NM-KYWYW-QJJR4-XV3QB-6VM33",
	"Windows Server 2022 Datacenter: Azure Edition": "NTBV8-9K7Q8-V27C6-M2BTV-KHMXV",
	"Windows Server 2019 Standard":                  "N69G4-B89J2-4G8F4-WWYCC-J464C",
	"Windows Server 2019 Datacenter":                "WMDGN-G9PQG-XVVXX-R3X43-63DFG",
	"Windows Server 2019 Essentials":                "WVDHN-86M7X-466P6-VHXV7-YY726",
	"Windows Server 2016 Standard":                  "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY",
	"Windows Server 2016 Datacenter":                "CB7KF-BWN84-R7R2Y-793K2-8XDDG",
	"Windows Server 2016 Essentials":                "JCKRF-N37P4-C2D82-9YXRT-4M63B",
	"Windows Server 2012 R2 Standard":               "D2N9P-3P6X9-2R39C-7RTCD-MDVJX",
	"Windows Server 2012 R2 Datacenter":             "W3GGN-FT8W3-Y4M27-J84CP-Q3VJ9",
	"Windows Server 2012 R2 Essentials":             "KNC87-3J2TX-XB4WP-VCPJV-M4FWM",
	"Windows Server 2012 Standard":                  "XC9B7-NBPP2-83J2H-RHMBY-92BT4",
	"Windows Server 2012 Datacenter":                "48HP8-DN98B-MYWDG-T2DCC-8W83P",
	"Windows Server 2012 Essentials":                "HTDQM-NBMMG-KGYDT-2DTKT-J2MPV",
	"Windows Server 2012 MultiPoint Standard":       "HM7DN-YVMH3-46JC3-XYTG7-CYQJJ",
	"Windows Server 2012 MultiPoint Premium":        "XNH6W-2V9GX-RGJ4K-Y8X6F-QGJ2G",
	"Windows Server 2008 R2 Web":                    "6TPJF-RBVHG-WBW2R-86QPH-6RTM4",
	"Windows Server 2008 R2 HPC edition":            "TT8MH-CG224-D3D7Q-498W2-9QCTX",
	"Windows Server 2008 R2 Standard":               "YC6KT-GKW9T-YTKYR-T4X34-R7VHC",
	"Windows Server 2008 R2 Enterprise":             "489J6-VHDMP-X63PK-3K798-CPX3Y",
	"Windows Server 2008 R2 Datacenter":             "74YFP-3QFB3-KQT8W-PMXWJ-7M648",
	"Windows Web Server 2008":                       "WYR28-R7TFJ-3X2YQ-YCY4H-M249D",
	"Windows Server 2008 Standard":                  "TM24T-X9RMF-VWXK6-X8JC9-BFGM2",
	"Windows Server 2008 Enterprise":                "YQGMW-MPWTJ-34KDK-48M3W-X4Q6V",
	"Windows Server 2008 Datacenter":                "7M67G-PC374-GR742-YH8V4-TCBY3",
	"Windows 11 Pro":                                "W269N-WFGWX-YVC9B-4J6C9-T83GX",
	"Windows 10 Pro":                                "W269N-WFGWX-YVC9B-4J6C9-T83GX",
	"Windows 11 Pro N":                              "MH37W-N47XK-V7XM9-C7227-GCQG9",
	"Windows 10 Pro N":                              "MH37W-N47XK-V7XM9-C7227-GCQG9",
	"Windows 11 Pro for Workstations":               "NRG8B-VKK3Q-CXVCJ-9G2XF-6Q84J",
	"Windows 10 Pro for Workstations":               "NRG8B-VKK3Q-CXVCJ-9G2XF-6Q84J",
	"Windows 11 Pro for Workstations N":             "9FNHH-K3HBT-3W4TD-6383H-6XYWF",
	"Windows 10 Pro for Workstations N":             "9FNHH-K3HBT-3W4TD-6383H-6XYWF",
	"Windows 11 Pro Education":                      "6TP4R-GNPTD-KYYHQ-7B7DP-J447Y",
	"Windows 10 Pro Education":                      "6TP4R-GNPTD-KYYHQ-7B7DP-J447Y",
	"Windows 11 Pro Education N":                    "YVWGF-BXNMC-HTQYQ-CPQ99-66QFC",
	"Windows 10 Pro Education N":                    "YVWGF-BXNMC-HTQYQ-CPQ99-66QFC",
	"Windows 11 Education":                          "NW6C2-QMPVW-D7KKK-3GKT6-VCFB2",
	"Windows 10 Education":                          "NW6C2-QMPVW-D7KKK-3GKT6-VCFB2",
	"Windows 11 Education N":                        "2WH4N-8QGBV-H22JP-CT43Q-MDWWJ",
	"Windows 10 Education N":                        "2WH4N-8QGBV-H22JP-CT43Q-MDWWJ",
	"Windows 11 Enterprise":                         "NPPR9-FWDCX-D2C8J-H872K-2YT43",
	"Windows 10 Enterprise":                         "NPPR9-FWDCX-D2C8J-H872K-2YT43",
	"Windows 11 Enterprise N":                       "DPH2V-TTNVB-4X9Q3-TJR4H-KHJW4",
	"Windows 10 Enterprise N":                       "DPH2V-TTNVB-4X9Q3-TJR4H-KHJW4",
	"Windows 11 Enterprise G":                       "YYVX9-NTFWV-6MDM3-9PT4T-4M68B",
	"Windows 10 Enterprise G":                       "YYVX9-NTFWV-6MDM3-9PT4T-4M68B",
	"Windows 11 Enterprise G N":                     "44RPN-FTY23-9VTTB-MP9BX-T84FV",
	"Windows 10 Enterprise G N":                     "44RPN-FTY23-9VTTB-MP9BX-T84FV",
	"Windows 11 Enterprise LTSC 2024":               "M7XTQ-FN8P6-TTKYV-9D4CC-J462D",
	"Windows 11 Enterprise N LTSC 2024":             "92NFX-8DJQP-P6BBQ-THF9C-7CG2H",
	"Windows 10 Enterprise LTSC 2021":               "M7XTQ-FN8P6-TTKYV-9D4CC-J462D",
	"Windows 10 Enterprise N LTSC 2021":             "92NFX-8DJQP-P6BBQ-THF9C-7CG2H",
	"Windows 10 Enterprise LTSC 2019":               "M7XTQ-FN8P6-TTKYV-9D4CC-J462D",
	"Windows 10 Enterprise N LTSC 2019":             "92NFX-8DJQP-P6BBQ-THF9C-7CG2H",
	"Windows IoT Enterprise LTSC 2024":              "KBN8V-HFGQ4-MGXVD-347P6-PDQGT",
	"Windows IoT Enterprise LTSC 2021":              "KBN8V-HFGQ4-MGXVD-347P6-PDQGT",
	"Windows 10 Enterprise LTSB 2016":               "DCPHK-NFMTC-H88MJ-PFHPY-QJ4BJ",
	"Windows 10 Enterprise N LTSB 2016":             "QFFDN-GRT3P-VKWWX-X7T3R-8B639",
	"Windows 10 Enterprise LTSB 2015":               "WNMTR-4C88C-JK8YV-HQ7T2-76DF9",
	"Windows 10 Enterprise N LTSB 2015":             "2F77B-TNFGY-69QQF-B8YKP-D69TJ",
	"Windows 8.1 Pro":                               "GCRJD-8NW9H-F2CDX-CCM8D-9D6T9",
	"Windows 8.1 Pro N":                             "HMCNV-VVBFX-7HMBH-CTY9B-B4FXY",
	"Windows 8.1 Enterprise":                        "MHF9N-XY6XB-WVXMC-BTDCT-MKKG7",
	"Windows 8.1 Enterprise N":                      "TT4HM-HN7YT-62K67-RGRQJ-JFFXW",
	"Windows 8 Pro":                                 "NG4HW-VH26C-733KW-K6F98-J8CK4",
	"Windows 8 Pro N":                               "XCVCF-2NXM9-723PB-MHCB7-2RYQQ",
	"Windows 8 Enterprise":                          "32JNW-9KQ84-P47T8-D8GGY-CWCK7",
	"Windows 8 Enterprise N":                        "JMNMF-RHW7P-DMY6X-RF3DR-X2BQT",
	"Windows 7 Professional":                        "FJ82H-XT6CR-J8D7P-XQJJ2-GPDD4",
	"Windows 7 Professional N":                      "MRPKT-YTG23-K7D7T-X2JMM-QY7MG",
	"Windows 7 Enterprise":                          "33PXH-7Y6KF-2VJC9-XBBR8-HVTHH",
	"Windows 7 Enterprise N":                        "YDRBP-3D83W-TY26F-D46B2-XCKRJ",
	"Windows Vista Business":                        "YFKBB-PQJJV-G996G-VWGXY-2V3X8",
	"Windows Vista Business N":                      "HMBQG-8H2RH-C77VX-27R82-VMQBT",
	"Windows Vista Enterprise":                      "VKK3X-68KWM-X2YGT-QR4M6-4BWMV",
	"Windows Vista Enterprise N":                    "VTC42-BM838-43QHV-84HX6-XJXKV",
}

// ProductKeyFor returns the published volume licence key of an edition, for
// example "Windows Server 2022 Datacenter". Case and surplus blanks do not
// matter.
func ProductKeyFor(edition string) (key string, ok bool) {
	edition = strings.Join(strings.Fields(edition), " ")
	for name, key := range volumeKeys {
		if strings.EqualFold(name, edition) {
			return key, true
		}
	}
	return "", false
}

func isPublishedKey(key string) bool {
	for _, published := range volumeKeys {
		if strings.EqualFold(published, key) {
			return true
		}
	}
	return false
}
