# An image for our farm.
packer {
  required_plugins {
    azure = {
      source  = "github.com/hashicorp/azure"
      version = "~> 2"
    }
  }
}

source "azure-arm" "farm" {
  os_type = "Windows"
}

build {
  sources = ["source.azure-arm.farm"]

  provisioner "powershell" {
    scripts = ["install.ps1"]
  }

  # the last step
  provisioner "powershell" {
    elevated_user = "packer"
    only          = ["azure-arm.farm"]
    inline = [
      "# the agents first",
      "while ((Get-Service RdAgent).Status -ne 'Running') { Start-Sleep -s 5 }",
      "if (Test-Path $Env:SystemRoot\\system32\\Sysprep\\unattend.xml) { Remove-Item $Env:SystemRoot\\system32\\Sysprep\\unattend.xml }",
      "& $Env:SystemRoot\\System32\\Sysprep\\Sysprep.exe /generalize /oobe /quiet /quit /mode:vm",
      "while ($true) {",
      "  $s = (Get-ItemProperty HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State).ImageState",
      "  if ($s -eq 'IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE') { break }",
      "  Start-Sleep -s 10",
      "}"
    ]
  }
}
