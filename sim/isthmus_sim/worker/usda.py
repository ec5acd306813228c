"""A robot on its ground as USD text, with the schemas of UsdPhysics and PhysX, for simulators that read that.

Bodies are `/World/envs/env_0/robot/body_I` in the robot's order, side by side as PhysX has them; joints are called by
their numbers among the bodies, too, because USD has rules for names.
"""

from __future__ import annotations

import math
from typing import Iterable, Sequence

import numpy as np

from isthmus_sim.worker.robot import Body, Geom, Joint, Robot
from isthmus_sim.worker.rotations import from_x_axis, product, rotate
from isthmus_sim.worker.terrain import triangles

ENVS = "/World/envs"
_LEVEL = [1.0, 0.0, 0.0, 0.0]


def usda(robot: Robot, heights: np.ndarray, origin: Sequence[float]) -> str:
    """The text: a scene, its ground, and the first world's robot in its reference pose at `origin`, m. The ground has
    no friction: a contact's is the mean of both materials', and robots have twice what is asked for."""
    return f"""#usda 1.0
(
    defaultPrim = "World"
    metersPerUnit = 1
    kilogramsPerUnit = 1
    upAxis = "Z"
)
def Xform "World"
{{
    def PhysicsScene "scene" (prepend apiSchemas = ["PhysxSceneAPI"])
    {{
        vector3f physics:gravityDirection = (0, 0, -1)
        float physics:gravityMagnitude = {robot.gravity:.9g}
        bool physxScene:enableGPUDynamics = 0
        bool physxScene:enableEnhancedDeterminism = 1
        token physxScene:broadphaseType = "SAP"
        token physxScene:solverType = "TGS"
    }}
    def Material "slippery" (prepend apiSchemas = ["PhysicsMaterialAPI"])
    {{
        float physics:staticFriction = 0
        float physics:dynamicFriction = 0
        float physics:restitution = 0
    }}
    def PhysicsCollisionGroup "robots" (prepend apiSchemas = ["CollectionAPI:colliders"])
    {{
        rel collection:colliders:includes = [<{ENVS}>]
        rel physics:filteredGroups = [</World/robots>]
    }}
{_ground(robot, heights)}
    def Xform "envs"
    {{
        def Xform "env_0"
        {{
{_placed(origin, _LEVEL)}
            def Xform "robot"
            {{
{"".join(_bodies(robot))}{"".join(_joints(robot))}
            }}
        }}
    }}
}}
"""


def _ground(robot: Robot, heights: np.ndarray) -> str:
    bound = """(prepend apiSchemas = ["PhysicsCollisionAPI", "MaterialBindingAPI"])"""
    material = "rel material:binding:physics = </World/slippery>"
    if not heights.size:
        return f'    def Plane "ground" {bound}\n    {{\n        token axis = "Z"\n        {material}\n    }}'
    vertices, faces = triangles(heights, robot.cell)
    points = ", ".join(_vector(vertex) for vertex in vertices)
    return f"""    def Mesh "ground" {bound.replace('API"]', 'API", "PhysicsMeshCollisionAPI"]')}
    {{
        point3f[] points = [{points}]
        int[] faceVertexCounts = [{", ".join(["3"] * len(faces))}]
        int[] faceVertexIndices = [{", ".join(str(corner) for corner in faces.ravel())}]
        uniform token physics:approximation = "none"
        uniform token subdivisionScheme = "none"
        {material}
    }}"""


def _bodies(robot: Robot) -> Iterable[str]:
    places: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    for number, body in enumerate(robot.bodies):
        place, turn = np.array(body.position), np.array(body.orientation)
        if body.parent >= 0:
            place = places[body.parent] + rotate(turns[body.parent], place)
            turn = product(turns[body.parent], turn)
        places.append(place)
        turns.append(turn)
        yield _body(number, body, place, turn)


def _body(number: int, body: Body, place: np.ndarray, turn: np.ndarray) -> str:
    root = body.parent < 0
    apis = ["PhysicsRigidBodyAPI", "PhysicsMassAPI", "PhysxRigidBodyAPI", "PhysxContactReportAPI"]
    apis += ["PhysicsArticulationRootAPI", "PhysxArticulationAPI"] if root else []
    listed = ", ".join(f'"{api}"' for api in apis)
    articulation = """
                    bool physxArticulation:enabledSelfCollisions = 0
                    float physxArticulation:sleepThreshold = 0
                    float physxArticulation:stabilizationThreshold = 0
                    int physxArticulation:solverPositionIterationCount = 8
                    int physxArticulation:solverVelocityIterationCount = 1"""
    return f"""
                def Xform "body_{number}" (prepend apiSchemas = [{listed}])
                {{
{_placed(place.tolist(), turn.tolist())}{articulation if root else ""}
                    float physics:mass = {body.mass:.9g}
                    point3f physics:centerOfMass = {_vector(body.centre)}
                    float3 physics:diagonalInertia = {_vector(body.inertia)}
                    quatf physics:principalAxes = {_vector(body.inertia_orientation)}
                    float physxRigidBody:linearDamping = 0
                    float physxRigidBody:angularDamping = 0
                    float physxRigidBody:maxAngularVelocity = 1e6
                    float physxRigidBody:maxDepenetrationVelocity = 3
                    float physxContactReport:threshold = 0
{"".join(_shape(i, geom) for i, geom in enumerate(body.geoms))}
                }}"""


def _shape(number: int, geom: Geom) -> str:
    kind, sizes = {
        "sphere": ("Sphere", f"double radius = {geom.size[0]:.9g}"),
        "box": ("Cube", "double size = 1"),
        "capsule": ("Capsule", _round(geom)),
        "cylinder": ("Cylinder", _round(geom)),
    }[geom.kind]
    scale = [2 * size for size in geom.size[:3]] if geom.kind == "box" else None
    return f"""
                    def {kind} "shape_{number}" (prepend apiSchemas = ["PhysicsCollisionAPI", "PhysxCollisionAPI"])
                    {{
                        {sizes}
                        float physxCollision:contactOffset = 0.01
                        float physxCollision:restOffset = 0
{_placed(geom.position, geom.orientation, scale)}
                    }}"""


def _round(geom: Geom) -> str:
    return f'token axis = "Z"\ndouble radius = {geom.size[0]:.9g}\ndouble height = {2 * geom.size[1]:.9g}'


def _joints(robot: Robot) -> Iterable[str]:
    for number, body in enumerate(robot.bodies):
        if body.parent >= 0:
            yield _joint(number, body)


def _joint(number: int, body: Body) -> str:
    anchor = np.array(body.joint.anchor if body.joint else [0.0, 0.0, 0.0])
    turn = from_x_axis(np.array(body.joint.axis)) if body.joint else np.array(_LEVEL)
    own = np.array(body.orientation)
    hinge = body.joint is not None
    apis = '(prepend apiSchemas = ["PhysxJointAxisAPI:angular"]) ' if hinge else ""
    return f"""
                def Physics{"Revolute" if hinge else "Fixed"}Joint "joint_{number}" {apis}
                {{
                    rel physics:body0 = <{ENVS}/env_0/robot/body_{body.parent}>
                    rel physics:body1 = <{ENVS}/env_0/robot/body_{number}>
                    point3f physics:localPos0 = {_vector(np.array(body.position) + rotate(own, anchor))}
                    quatf physics:localRot0 = {_vector(product(own, turn))}
                    point3f physics:localPos1 = {_vector(anchor)}
                    quatf physics:localRot1 = {_vector(turn)}
{_hinge(body.joint) if body.joint else ""}
                }}"""


def _hinge(joint: Joint) -> str:
    return f"""                    token physics:axis = "X"
                    float physics:lowerLimit = {math.degrees(joint.low):.9g}
                    float physics:upperLimit = {math.degrees(joint.high):.9g}
                    float physxJointAxis:angular:armature = {joint.armature:.9g}"""


def _placed(place: Sequence[float], turn: Sequence[float], scale: Sequence[float] | None = None) -> str:
    lines = [f"double3 xformOp:translate = {_vector(place)}", f"quatf xformOp:orient = {_vector(turn)}"]
    order = ["xformOp:translate", "xformOp:orient"]
    if scale is not None:
        lines.append(f"double3 xformOp:scale = {_vector(scale)}")
        order.append("xformOp:scale")
    lines.append("uniform token[] xformOpOrder = [" + ", ".join(f'"{op}"' for op in order) + "]")
    return "\n".join(lines)


def _vector(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{float(value):.9g}" for value in values) + ")"
