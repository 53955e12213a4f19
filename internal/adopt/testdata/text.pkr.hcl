build {
  sources = ["azure-arm.x"]
  provisioner "powershell" {
    inline = [<<-EOT
      Stop-Service sshd
      & $env:SystemRoot\System32\Sysprep\Sysprep.exe /oobe /generalize /quiet /quit
      EOT
    ]
  }
  provisioner "powershell" {
    inline = concat(["sysprep.exe /generalize"], var.more)
  }
}
