# Windows Server in Compute Engine, generalized by GCESysprep, which brings its own answer
# file and has the agent set up each new instance.

packer {
  required_plugins {
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = "~> 1.2"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "project" {
  type = string
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of the build account. The account stays in the image unless you remove it."
}

source "googlecompute" "windows" {
  project_id          = var.project
  zone                = "europe-west1-b"
  machine_type        = "e2-standard-4"
  source_image_family = "windows-2022"
  disk_size           = 50
  image_name          = "windows-2022-${formatdate("YYYYMMDDhhmm", timestamp())}"
  image_family        = "windows-2022-golden"

  # The machine makes the build account and enables WinRM over HTTPS at its first boot.
  metadata = {
    sysprep-specialize-script-cmd = "winrm quickconfig -quiet & net user /add packer ${var.password} & net localgroup administrators packer /add & winrm set winrm/config/service/auth @{Basic=\"true\"}"
  }
  communicator   = "winrm"
  winrm_username = "packer"
  winrm_password = var.password
  winrm_use_ssl  = true
  winrm_insecure = true
}

build {
  sources = ["source.googlecompute.windows"]

  # The builder deletes the instance and takes its disk: it has to be off by then.
  provisioner "sysprep" {
    agent         = "gcesysprep"
    action        = "shutdown"
    log_directory = "logs"
  }
}
