# Generalized from audit mode, by one provisioner.
variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "server" {
  source_path      = "server2022.vhdx"
  winrm_username   = "packer"
  winrm_password   = var.password
  output_directory = "output-through-audit"
}

build {
  sources = ["source.sysprep-vhd.server"]

  provisioner "powershell" {
    inline = ["Write-Output 'set up'"]
  }

  provisioner "sysprep" {
    through_audit = true
    log_directory = "logs"
  }
}
