"""What profiles leave out of the vendors' maps, by pattern of a register's or a flag's name, and why."""

from __future__ import annotations

from collections.abc import Mapping

PSU_LEFT = {
    r"PSU_MFR_Date|PSU_Workorder|PSU_HW_Revision|PSU_FBL_FW_Revision": "not part of an identity that is judged",
    r"Total_Up_Time|Time_Since_Last_On|AC_.*Counter|PSU_Fault_Counter": "history of the unit, not its state",
    r"PSU_RPM_Fan[01]|PSU_Temp.*|PSU_M(ax|in)_Temp": "its own alarms judge fans and temperatures",
    r"PSU_Position_Number": "the bay names the places",
    r"CRC_Error_Counter|Timeout_Error_Counter": "the unit's view of the bus; the transport counts its own (BusQuality)",
    r"PSU_Input_Current_AC": "follows from power and voltage",
    r"(Power_Cycle_)?Unix_Time|Communication_Baud_Rate|Fan_Duty_Cycle_Override|LED_Override": "a setting",
    r"Configurable_PLS_Timing|Vin_M(in|ax)|Vout_.*": "a setting",
}
LEFT: Mapping[str, Mapping[str, str]] = {
    "orv3-psu": PSU_LEFT,
    "orv3-hpr-psu": {
        **{key: why for key, why in PSU_LEFT.items() if "PLS" not in key},
        r"Vin_M(in|ax)|Vout_Setpoint": "a setting",
        r"PSU_Input_.*_Inst": "the averaged values are judged",
        r"Turn_Off_Time_.*|Power_Off_Unix_Time|Input_Power_Planned|Region": "a setting",
        r"Bus_Clip_Temp_(Pos|Neg)": "its own alarms judge temperatures",
        r"Bus_Voltage_M(ax|in)_Over_Period": "the period is a setting; since power-on says more",
        r"PSU_Output_Voltage_ORing": "behind the ORing it is the bus, which all supplies measure",
        r"Hardware_Signal|AC_Loss_Count_Requested|Pulse_Mgmt_Count_Requested": "signals between shelves",
        r"Shelf_Location|Size_Module_Reg_Map": "the bay names the places",
    },
    "orv3-bbu": {
        r"Manufacture_Date|Build_Revision|HW_Revision|Workorder|Manufacturer_Date|Serial_Number": "not judged",
        r"Device_Chemistry|Manufacturer_Data|Manufacturer_Name|Device_Name|Specification_Info": "of the pack inside",
        r"Battery_Pack_FW_Revision": "of the pack inside",
        r"Battery_Current|Average_Current": "no unit: in the gauge's mA, 16 bits end at 32.8 A, and 3 kW are 75 A",
        r"(Charging|Discharge)_Current|Variable_Charge_Calculated_Current": "no unit",
        r"Charging_Voltage|BBU_Discharger_Output_Voltage_Inside_Oring": "no unit, and not judged",
        r"(In|Out)let_Ambient_Temperature|(Dis)?[Cc]harge_Buck_Temperature": "no unit, no sign; their alarms are read",
        r"Fan_Speed": "its alarm is read",
        r"(Remaining|Full_Charge|Design)_Capacity|Design_Voltage|Max_Error": "charge and health say it in percent",
        r"Absolute_State_Of_Charge": "of the new pack; the relative one is what it holds",
        r"(Run_Time|Average_Time)_To_Empty|At_Rate.*": "a forecast",
        r"Cycle_Count|SOH_Count|BBU_Total_Service_Time|Count_of_Discharge_Events": "history of the unit",
        r"SOH_(Failure|Not_Start)_Reason|SOH_Timestamp|Random_Number_Of_SoH_Test": "of a test nobody starts here",
        r"BBU_Module_Hardware_Signals|Battery_Pack_Hardware_Signals|LED_Status": "polarity is not said",
        r"Battery_Pack_(Charge|Discharge|Permanent)_Failure|Manufacturer_Access": "codes without a table",
        r"Number_of_Installed_BBUs|PSU_Shelf_Output_Power|PSU_AC_OK": "of the neighbours, who are asked themselves",
        r"Variable_Modbus_Baud_Rate|.*Override.*|Configurable_.*|Wall_Clock_Time": "a setting",
        r"Forced_.*|System_Control_Mode|BBU_Shelf_Configuration|Charge_Delay_Time|BBU_Clear_Fault": "a setting",
    },
    "orv3-hpr-pmm-psu": {
        r"PMM_MFR_Date|PMM_Workorder|PMM_HW_Revision": "not judged",
        r"Total_Up_Time|Time_Since_Last_On|Unix_Time|Power_Off_System_Unix_Time": "clocks",
        r"Size_Module_Reg_Map|Shelf_Type_ID|.*_Addr|.*_Address|.*Location.*|W400_Port_Number": "the bay has them",
        r"ISHARE_Cable_Connected": "an integer without a table; the alarm bit of the same cable is read",
        r"PMM_LED_Status_Register|Digital_Outputs_Test": "lamps and tests",
        r".*_Error_Counter.*": "the manager's view of its own bus",
        r"Modbus_Baud_Rate|Operation_Mode|Stop_Shelf_level_Module_Polling": "a setting",
    },
    "orv3-rpu": {
        r"Sticky_IT_RPU_Stop_Pump_[0-3]": "who asked for a stop; no leak",
        r"RPU_MFR_Date|RPU_Workorder|RPU_HW_Revision|RPU_(HMI|HEX)_FW_Revision|RPU_Noahs_Ark_.*": "not judged",
        r"RPU_Reservoir_And_Pumping_Unit_FBPN|Heat_Exchanger_.*_FBPN": "not judged",
        r"Total_Up_Time|Time_Since_Last_On": "history of the unit",
        r"(RPU|AALC_Total)_Power_W|AALC_Total_Pwr_Ext_W": "16 bits of 0.1 W end at 6553.5 W; no channel of ours",
        r"AALC_Cooling_Capacity_W": "heat is always computed again from flow and temperatures",
        r"RPU_(Input_Volt_V|Air_Inlet_Temp_C|Pump_PWM_Pct|Fan.*|Internal_Fan_Status)": "no channel of ours",
        r"RPU_(Reservoir_Status|LED_Status|Pump_Status|Pump_Fan_Status)": "summed up in the status alarms",
        r"HEX_.*": "the air side; its leaks and alarms are read",
        r"RPU_(BB|BPB|Pdb|MB|ADC|Pump[123]_(Hdc|HSC|Fan|Hum)).*|PRU_BPB_.*": "boards inside the unit",
        r"BPB_(CDU|Rack)_Coolant_Leakage_Volt_V": "what a dry or a broken rope reads is not published",
        r"AALC_Sensor_Alarm|Leakage_Settings|Pump_Redundant_Switched_Interval": "not judged",
        r"AALC_Modbus_Address|Manual_Control_.*|Auto_Tune_.*|RPU_Control": "a setting; `controls` writes some",
    },
}
BITS_LEFT: Mapping[str, Mapping[str, str]] = {
    "orv3-psu": {
        r"PMBus_Active|Modbus_Active": "which bus is in use: no alarm",
        r"(?!Active_Current_Sharing).*": "register 94: commands and settings",
    },
    "orv3-hpr-psu": {r"(?!Active_Current_Sharing).*": "register 94: commands and settings"},
    "orv3-bbu": {
        r".*Override.*|.*_Enable.*|.*_Disable|SoH_Test_OCV_Relaxation_Time|Cell_Balancing": "register 107: settings",
        r"Discharging": "set whenever no current flows in",
        r"Second_Shelf_Detection": "no alarm",
    },
    "orv3-hpr-pmm-psu": {
        r"RX_Serial_Input_Failure|Shelf_EEPROM_Fault": "of the manager; its alarm register says so, too",
    },
    "orv3-rpu": {
        r".*_(Thermometer|Gauge|HSC|Sensor|Level_Gauge)_Status|RPU_HSC_Status": "sensors that no channel of ours is",
        r".*_Temp_Status|.*_Pressure_Status|Y_Filter_Status|Deassert_RPU_Ready": "its own limits: the model has ours",
        r"IT_Chassis[0-3]_Stop": "who asked for a stop; no leak",
    },
}
SAME_NAME = {
    "orv3_rpu": {"AALC_Sensor_Alarm": [37375, 37376, 41474], "HEX_Alarm": [37379, 41473]},
}
