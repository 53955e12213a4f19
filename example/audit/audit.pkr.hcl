# Two phases, as Microsoft makes images: Windows restarts into audit mode, is set up
# there, and is then generalized.
variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "server" {
  source_path      = "server2022.vhdx"
  winrm_username   = "packer"
  winrm_password   = var.password
  output_directory = "output-audit"
}

build {
  sources = ["source.sysprep-vhd.server"]

  # Ends when the guest is back in audit mode.
  provisioner "sysprep" {
    mode           = "audit"
    generalize     = false
    reboot_timeout = "20m"
  }

  provisioner "powershell" {
    inline = ["Write-Output 'set up in audit mode'"]
  }

  # Closes the System Preparation Tool window that audit mode opens, and goes on.
  provisioner "sysprep" {
    log_directory = "logs"
  }
}
