# Proves an existing disk, and converts it for Azure. No machine is started. After
# another builder the first post-processor is not needed.
variable "disk" {
  type        = string
  default     = "server2022.vhdx"
  description = "A VHD, VHDX, qcow2 or raw file."
}

source "null" "disk" {
  communicator = "none"
}

build {
  sources = ["source.null.disk"]

  post-processors {
    post-processor "artifice" {
      files = [var.disk]
    }

    post-processor "sysprep-image" {
      format              = "vhd"
      vhd_type            = "fixed"
      output              = "output-azure/server2022.vhd"
      compact             = true
      keep_input_artifact = true # otherwise Packer removes the disk it was given

      verify {
        severities = { secrets = "fail" }
      }

      evidence {} # a statement beside the disk, for cosign to sign; key = "images.pem" signs it here
    }
  }
}
