"""`python -m isthmus_deploy.ros.stand_in_robot`, the same as `isthmus-stand-in`."""

from isthmus_deploy.ros.stand_in_robot import main

main()
